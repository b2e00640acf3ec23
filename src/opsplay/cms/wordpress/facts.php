<?php
// Evaluated by WP-CLI inside WordPress: what is installed and what the update source offers.
// Everything is asked anew; the answers are kept in this process and never written (see guard.php).

class Opsplay_Update_Check
{
    private $answers = [];
    private $kept = [];
    public $withheld = [];

    public function ask(): void
    {
        wp_using_ext_object_cache(false);
        foreach (['core', 'plugins', 'themes'] as $what) {
            $this->keep("update_$what");
        }
        add_filter('pre_http_request', [$this, 'see_answer_of_filter'], PHP_INT_MAX, 3);
        add_action('http_api_debug', [$this, 'see_answer'], PHP_INT_MAX, 5);
        require_once ABSPATH . 'wp-admin/includes/update.php';
        require_once ABSPATH . 'wp-admin/includes/plugin.php';
        wp_version_check([], true);
        wp_update_plugins();
        wp_update_themes();
    }

    // Not through the transient's own `pre_` filter: premium plugins add their offers in the filter
    // that WordPress applies after it.
    private function keep(string $name): void
    {
        $this->kept[$name] = new stdClass();
        add_filter("pre_set_site_transient_$name", function ($value) use ($name) {
            return $this->kept[$name] = is_object($value) ? $value : new stdClass();
        }, PHP_INT_MAX);
        add_filter("pre_site_option__site_transient_$name", function () use ($name) {
            return $this->kept[$name];
        }, PHP_INT_MAX);
    }

    public function see_answer_of_filter($answer, $arguments, $url)
    {
        if ($answer !== false) {
            $this->see_answer($answer, '', '', $arguments, $url);
        }
        return $answer;
    }

    public function see_answer($answer, $context, $class, $arguments, $url): void
    {
        if (preg_match('#/(core/version-check|plugins/update-check|themes/update-check)/#', $url, $found)) {
            $this->answers[$found[1]] = $this->problem($answer);
        }
    }

    private function problem($answer): string
    {
        if (is_wp_error($answer)) {
            return $answer->get_error_message() ?: $answer->get_error_code();
        }
        $status = (int) wp_remote_retrieve_response_code($answer);
        if ($status !== 200) {
            return "HTTP status $status";
        }
        return is_array(json_decode(wp_remote_retrieve_body($answer), true)) ? '' : 'an answer that is no JSON';
    }

    // A question that was never put (a plugin that switches updates off) proves nothing either.
    public function error(): string
    {
        $asked = ['core/version-check' => 'WordPress', 'plugins/update-check' => 'plugins'];
        if (wp_get_themes()) {
            $asked['themes/update-check'] = 'themes';
        }
        foreach ($asked as $question => $subject) {
            $problem = $this->answers[$question] ?? 'it was never asked (updates are switched off on this site)';
            if ($problem !== '') {
                return "updates of $subject: $problem";
            }
        }
        return '';
    }

    public function core(): array
    {
        $offers = [];
        foreach ((array) (get_site_transient('update_core')->updates ?? []) as $offer) {
            $version = $offer->version ?? $offer->current;
            if (in_array($offer->response, ['upgrade', 'autoupdate'], true) && $this->runs("WordPress $version", $offer->php_version ?? '')) {
                $offers[$version] = ['version' => $version, 'package' => (string) ($offer->packages->full ?? $offer->download ?? '')];
            }
        }
        return array_values($offers);
    }

    private function runs(string $what, $needs): bool
    {
        $runs = version_compare(PHP_VERSION, $needs ?: '0', '>=');
        if (!$runs) {
            $this->withheld[$what] = "$what needs PHP $needs";
        }
        return $runs;
    }

    public function module(string $kind, string $key): ?array
    {
        $offer = (get_site_transient("update_$kind")->response ?? [])[$key] ?? null;
        $offer = $offer === null ? [] : (array) $offer;
        if (empty($offer['new_version']) || !$this->runs("$key {$offer['new_version']}", $offer['requires_php'] ?? '')) {
            return null;
        }
        return ['version' => (string) $offer['new_version'], 'package' => (string) ($offer['package'] ?? '')];
    }
}

function opsplay_modules(Opsplay_Update_Check $check): array
{
    $modules = [];
    foreach (get_plugins() as $file => $data) {
        $name = strpos($file, '/') ? dirname($file) : basename($file, '.php');
        $modules[] = ['name' => $name, 'version' => $data['Version'], 'title' => $data['Name'],
            'active' => is_plugin_active($file), 'offer' => $check->module('plugins', $file)];
    }
    foreach (wp_get_themes() as $name => $theme) {
        $modules[] = ['name' => "theme:$name", 'version' => (string) $theme->get('Version'), 'title' => (string) $theme->get('Name'),
            'active' => in_array($name, [get_stylesheet(), get_template()], true), 'offer' => $check->module('themes', $name)];
    }
    return $modules;
}

function opsplay_facts(): array
{
    global $wpdb;
    $text = file_get_contents(ABSPATH . WPINC . '/version.php');
    $check = new Opsplay_Update_Check();
    $check->ask();
    $found = ['modules' => opsplay_modules($check), 'offers' => $check->core()];
    return $found + ['withheld' => array_values($check->withheld)] + [
        'version' => preg_match('/(?:^|[;\s])\$wp_version\s*=\s*[\'"]([^\'"]+)/m', $text, $found) ? $found[1] : '',
        'wanted_database_version' => preg_match('/(?:^|[;\s])\$wp_db_version\s*=\s*(\d+)/m', $text, $found) ? $found[1] : '',
        'database_version' => (string) $wpdb->get_var("SELECT option_value FROM $wpdb->options WHERE option_name = 'db_version'"),
        'source_error' => $check->error(),
        'php_version' => PHP_VERSION,
    ];
}

fwrite(STDOUT, "\n@@opsplay@@" . json_encode(opsplay_facts(), JSON_INVALID_UTF8_SUBSTITUTE) . "@@end@@\n");
remove_all_actions('shutdown');
exit(0);
