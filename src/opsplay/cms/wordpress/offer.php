// Run by WP-CLI before WordPress starts: the one offer there is, is the rehearsed version, from the
// file that was downloaded. `plugin update` then does what the back office does: the plugin stays
// active and its own hooks after an update run (`plugin install --force` would skip these).
$opsplay_offer = function ($updates) {
    $updates = is_object($updates) ? $updates : new stdClass();
    $themes = getenv('OPSPLAY_KIND') === 'theme';
    $name = getenv('OPSPLAY_NAME');
    foreach ($themes ? [$name] : array_keys(get_plugins()) as $key) {
        if ($themes || $key === "$name.php" || dirname($key) === $name) {
            $offer = ['slug' => $name, 'plugin' => $key, 'theme' => $key, 'url' => '',
                'new_version' => getenv('OPSPLAY_VERSION'), 'package' => getenv('OPSPLAY_PACKAGE')];
            $updates->response[$key] = $themes ? $offer : (object) $offer;
            unset($updates->no_update[$key]);
        }
    }
    return $updates;
};
foreach (['update_plugins', 'update_themes'] as $opsplay_transient) {
    if ($opsplay_transient === 'update_' . getenv('OPSPLAY_KIND') . 's') {
        WP_CLI::add_wp_hook("site_transient_$opsplay_transient", $opsplay_offer, 998);
    }
}
