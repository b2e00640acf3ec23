<?php
/**
 * Fills a fresh site: `wp eval-file seed.php NAME`. The same name gives the same content.
 */

$name = $args[0];
$home = home_url();
mt_srand(crc32($name));
define('WP_IMPORTING', true);
wp_suspend_cache_addition(true);
wp_defer_term_counting(true);
wp_defer_comment_counting(true);

$GLOBALS['wp_rewrite']->set_permalink_structure('/%postname%/');
update_option('blogdescription', "The $name of the lab");
update_option('timezone_string', 'Europe/Paris');
update_option('default_pingback_flag', 0);

foreach (range(1, 20) as $number) {
	wp_insert_user([
		'user_login' => sprintf('customer%02d', $number),
		'user_pass' => 'lab',
		'user_email' => sprintf('customer%02d@%s.example', $number, $name),
		'display_name' => sprintf('Customer %02d', $number),
		'role' => $number > 18 ? 'editor' : 'subscriber',
	]);
}

$words = explode(' ', 'bread flour salt water oven crust morning table wheat barley rye basket ' .
	'rose tulip fern moss stem petal bouquet ribbon window market street été façade œuf naïve');
$text = function (int $length) use ($words): string {
	$picked = array_map(fn () => $words[mt_rand(0, count($words) - 1)], range(1, $length));
	return ucfirst(implode(' ', $picked)) . '.';
};

$uploads = wp_upload_dir('2026/01');
require_once ABSPATH . 'wp-admin/includes/image.php';
$media = [];
foreach (['front.png', 'counter.jpg', 'logo.png', 'Crème brûlée & friends (été).jpg'] as $number => $file) {
	$picture = imagecreatetruecolor(480, 320);
	imagefill($picture, 0, 0, imagecolorallocate($picture, 60 * $number, mt_rand(0, 255), 128));
	foreach (range(1, 200) as $dot) {
		imagesetpixel($picture, mt_rand(0, 479), mt_rand(0, 319), imagecolorallocate($picture, 255, 255, 255));
	}
	$path = "{$uploads['path']}/$file";
	str_ends_with($file, 'png') ? imagepng($picture, $path) : imagejpeg($picture, $path, 80);
	$media[] = $id = wp_insert_attachment([
		'post_title' => pathinfo($file, PATHINFO_FILENAME),
		'post_mime_type' => str_ends_with($file, 'png') ? 'image/png' : 'image/jpeg',
		'guid' => "{$uploads['url']}/" . rawurlencode($file),
	], $path);
	wp_update_attachment_metadata($id, wp_generate_attachment_metadata($id, $path));
}

foreach (range(1, 5) as $number) {
	wp_insert_term("Shelf $number", 'category');
}

foreach (range(1, 200) as $number) {
	$image = wp_get_attachment_url($media[$number % count($media)]);
	$id = wp_insert_post([
		'post_title' => "Product $number of the $name",
		'post_name' => "product-$number",
		'post_content' => "<p>{$text(60)}</p>\n<p><img src=\"$image\" alt=\"\"> [lab_shop_price]</p>\n" .
			"<p><a href=\"$home/product-" . (1 + $number % 200) . "/\">Next</a></p>",
		'post_status' => 'publish',
		'post_author' => 1,
		'post_date' => gmdate('Y-m-d H:i:s', 1767225600 + 3600 * $number),
		'post_category' => [2 + $number % 5],
		'meta_input' => [
			'_lab_gallery' => ['images' => [$image, "$home/?p=$number"], 'caption' => $text(4)],
			'_lab_layout' => wp_slash(wp_json_encode(['link' => "$home/product-$number/", 'columns' => 2])),
		],
	]);
	if (0 === $number % 10) {
		wp_insert_comment(['comment_post_ID' => $id, 'comment_content' => $text(12), 'user_id' => 2]);
	}
}

foreach (['About' => 'about', 'Contact' => 'contact', 'Basket' => 'basket'] as $title => $slug) {
	wp_insert_post(['post_type' => 'page', 'post_title' => $title, 'post_name' => $slug,
		'post_status' => 'publish', 'post_author' => 1, 'post_content' => "<p>$title: {$text(30)}</p>"]);
}

update_option('lab_shop_settings', [
	'home' => "$home/",
	'logo' => wp_get_attachment_url($media[2]),
	'nested' => (object) ['pages' => ["$home/about/", "$home/contact/"], 'note' => "It's ünïcode: $home"],
]);
update_option('lab_shop_json', wp_json_encode(['basket' => "$home/basket/"]));

global $wpdb;
$wpdb->query("CREATE TABLE {$wpdb->prefix}lab_visits (visited_on datetime, page text, seconds float) CHARSET utf8mb4");
foreach (range(1, 50) as $number) {
	$wpdb->insert("{$wpdb->prefix}lab_visits", ['visited_on' => gmdate('Y-m-d H:i:s', 1767225600 + 60 * $number),
		'page' => "$home/product-$number/", 'seconds' => $number / 8]);
}

activate_plugins(['akismet/akismet.php', 'lab-shop/lab-shop.php']);
wp_defer_term_counting(false);
wp_defer_comment_counting(false);
flush_rewrite_rules();
WP_CLI::success("$name is filled");
