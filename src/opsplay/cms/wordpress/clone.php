<?php
// Tasks for a clone, beside those of database.php. OPSPLAY_OLD holds the texts to look for, one a line.
function opsplay_old(): array
{
    return array_filter(explode("\n", (string) getenv('OPSPLAY_OLD')), 'strlen');
}

function opsplay_text_columns(mysqli $link, string $table): array
{
    $columns = [];
    foreach (opsplay_rows($link, 'SHOW COLUMNS FROM ' . opsplay_name($table)) as [$name, $type, , $key]) {
        if (preg_match('/char|text|json|blob|enum/i', $type) && $name !== 'guid') {
            $columns[] = $name;
        }
    }
    return $columns;
}

function opsplay_holds(mysqli $link, string $column, string $old): string
{
    return 'INSTR(BINARY ' . opsplay_name($column) . ", BINARY '" . $link->real_escape_string($old) . "') > 0";
}

// `table.column number` of rows that still hold an old text.
function opsplay_leftovers(mysqli $link, string $prefix): string
{
    $lines = '';
    foreach (array_keys(opsplay_tables($link, $prefix), 'BASE TABLE', true) as $table) {
        foreach (opsplay_text_columns($link, $table) as $column) {
            foreach (opsplay_old() as $old) {
                $sql = 'SELECT COUNT(*) FROM ' . opsplay_name($table) . ' WHERE ' . opsplay_holds($link, $column, $old);
                $count = (int) opsplay_rows($link, $sql)[0][0];
                $lines .= $count ? "$table.$column: $count rows with $old\n" : '';
            }
        }
    }
    return $lines;
}

// WP-CLI passes over tables without a primary key. Serialized values are left alone (a length inside
// them would be wrong) and show up as leftovers.
function opsplay_unkeyed(mysqli $link, string $prefix): string
{
    foreach (array_keys(opsplay_tables($link, $prefix), 'BASE TABLE', true) as $table) {
        if (opsplay_rows($link, 'SHOW KEYS FROM ' . opsplay_name($table) . " WHERE Key_name = 'PRIMARY'")) {
            continue;
        }
        foreach (opsplay_text_columns($link, $table) as $column) {
            $name = opsplay_name($column);
            foreach (opsplay_old() as $old) {
                $new = (string) getenv('OPSPLAY_NEW');
                opsplay_rows($link, 'UPDATE ' . opsplay_name($table) . " SET $name = REPLACE($name, '" . $link->real_escape_string($old)
                    . "', '" . $link->real_escape_string($new) . "') WHERE " . opsplay_holds($link, $column, $old) . " AND $name NOT REGEXP '^[aOsC]:[0-9]+:'");
            }
        }
    }
    return '';
}

function opsplay_more_tasks(callable $linked): array
{
    return [
        'leftovers' => $linked('opsplay_leftovers'),
        'unkeyed' => $linked('opsplay_unkeyed'),
        'home' => $linked(function ($link, $prefix) { return opsplay_option($link, $prefix, 'home'); }),
        'siteurl' => $linked(function ($link, $prefix) { return opsplay_option($link, $prefix, 'siteurl'); }),
    ];
}
