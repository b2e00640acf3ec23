<?php
// How far the site is, counted and not estimated. Goes with database.php; WordPress is not started.
// Prints `name value` lines, names with `%` and spaces encoded, and `end` at last.
function opsplay_mark(string $name, $value): string
{
    return strtr($name, ['%' => '%25', ' ' => '%20', "\n" => '%0A']) . ' ' . str_replace("\n", ' ', (string) $value) . "\n";
}

function opsplay_first(mysqli $link, string $sql): array
{
    return opsplay_rows($link, $sql)[0] ?? [];
}

// The time zone of the session is UTC; post_date_gmt is zero for drafts, which have no date yet.
function opsplay_time(?string $time): string
{
    return $time && strncmp($time, '0000', 4) !== 0 ? str_replace(' ', 'T', $time) . 'Z' : '';
}

// WooCommerce keeps orders in wc_orders (HPOS); shops that were not moved yet, as posts. Where both
// are there, the option says which one holds.
function opsplay_orders(mysqli $link, string $prefix, array $tables): array
{
    $hpos = isset($tables["{$prefix}wc_orders"])
        && opsplay_option($link, $prefix, 'woocommerce_custom_orders_table_enabled') === 'yes';
    $from = $hpos
        ? opsplay_name("{$prefix}wc_orders") . " WHERE type = 'shop_order' AND status NOT IN ('trash', 'auto-draft')"
        : opsplay_name("{$prefix}posts") . " WHERE post_type = 'shop_order' AND post_status NOT IN ('trash', 'auto-draft')";
    $time = $hpos ? 'date_created_gmt' : 'post_date_gmt';
    $count = (int) opsplay_first($link, "SELECT COUNT(*) FROM $from")[0];
    if (!$count && !$hpos && !isset($tables["{$prefix}woocommerce_order_items"])) {
        return [];
    }
    $last = opsplay_first($link, "SELECT id, $time FROM $from ORDER BY id DESC LIMIT 1");
    return ['orders' => $count, 'last_order_id' => $last[0] ?? '', 'last_order_at' => opsplay_time($last[1] ?? null)];
}

function opsplay_customers(mysqli $link, string $prefix, array $tables): array
{
    if (!isset($tables["{$prefix}wc_customer_lookup"])) {
        return [];
    }
    return ['customers' => opsplay_first($link, 'SELECT COUNT(*) FROM ' . opsplay_name("{$prefix}wc_customer_lookup"))[0]];
}

function opsplay_posts(mysqli $link, string $prefix): array
{
    $from = opsplay_name("{$prefix}posts") . " WHERE post_status = 'publish' AND post_type NOT IN ('shop_order', 'nav_menu_item')";
    $last = opsplay_first($link, "SELECT ID, post_date_gmt FROM $from ORDER BY ID DESC LIMIT 1");
    return [
        'posts' => opsplay_first($link, "SELECT COUNT(*) FROM $from")[0],
        'last_post_id' => $last[0] ?? '',
        'last_post_at' => opsplay_time($last[1] ?? null),
        'comments' => opsplay_first($link, 'SELECT COUNT(*) FROM ' . opsplay_name("{$prefix}comments") . " WHERE comment_type IN ('', 'comment', 'review')")[0],
    ];
}

function opsplay_watermarks(mysqli $link, string $prefix): string
{
    opsplay_rows($link, 'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    opsplay_rows($link, 'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY');
    $tables = opsplay_tables($link, $prefix);
    $marks = [];
    if (isset($tables["{$prefix}options"], $tables["{$prefix}posts"], $tables["{$prefix}comments"])) {
        $marks = opsplay_orders($link, $prefix, $tables) + opsplay_customers($link, $prefix, $tables)
            + opsplay_posts($link, $prefix);
    }
    if (isset($tables["{$prefix}users"])) {
        $marks['users'] = opsplay_first($link, 'SELECT COUNT(*) FROM ' . opsplay_name("{$prefix}users"))[0];
    }
    $text = '';
    foreach (array_filter($marks, 'strlen') as $name => $value) {
        $text .= opsplay_mark($name, $value);
    }
    foreach (array_keys($tables, 'BASE TABLE', true) as $table) {
        $text .= opsplay_mark("rows:$table", opsplay_first($link, 'SELECT COUNT(*) FROM ' . opsplay_name($table))[0]);
    }
    return "{$text}end\n";
}

function opsplay_more_tasks(callable $linked): array
{
    return ['watermarks' => $linked('opsplay_watermarks')];
}
