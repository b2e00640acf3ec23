<?php
/**
 * Plugin Name: Lab network
 * Description: Sends what WordPress asks wordpress.org to the lab's update source; nothing else leaves.
 */

defined('ABSPATH') || exit;

defined('WP_HTTP_BLOCK_EXTERNAL') || define('WP_HTTP_BLOCK_EXTERNAL', true);
defined('WP_ACCESSIBLE_HOSTS') || define('WP_ACCESSIBLE_HOSTS', '127.0.0.1');

const LAB_SOURCE = '{{source}}';

putenv('LAB_MAIL=' . dirname(ABSPATH) . '/mail');

add_filter('pre_http_request', function ($answer, $arguments, $url) {
	$elsewhere = '#^https?://(?:api|downloads|www)?\.?wordpress\.org/#';
	return preg_match($elsewhere, $url)
		? wp_remote_request(preg_replace($elsewhere, LAB_SOURCE . '/', $url), $arguments)
		: $answer;
}, 10, 3);

add_filter('http_request_host_is_external', function ($external, $host) {
	return $external || '127.0.0.1' === $host;
}, 10, 2);

add_filter('http_allowed_safe_ports', function ($ports) {
	$ports[] = (int) parse_url(LAB_SOURCE, PHP_URL_PORT);
	return $ports;
});
