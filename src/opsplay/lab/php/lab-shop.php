<?php
/**
 * Plugin Name: Lab Shop
 * Description: A small shop window. It says its version in every page.
 * Version: {{version}}
 * Requires at least: 6.0
 * Requires PHP: 7.4
 */

defined('ABSPATH') || exit;

if ({{dies}}) {
	lab_shop_function_that_nobody_wrote();
}

add_action('wp_head', function () {
	echo "<meta name=\"lab-shop\" content=\"{{version}}\">\n";
});

add_shortcode('lab_shop_price', function () {
	return '<span class="lab-shop-price">12.50</span>';
});
