<?php
/**
 * Plugin Name: Safe clone by opsplay
 * Description: This is a copy. It sends no mail, takes no payment, calls nobody and is found by no search engine.
 */
// Ours stands before any plugin's own wp_mail; where a plugin talks to PHPMailer itself, the
// message loses its recipients.
if (!function_exists('wp_mail')) {
    function wp_mail(...$message)
    {
        return false;
    }
}
add_filter('pre_wp_mail', '__return_false', PHP_INT_MAX);
add_action('phpmailer_init', function ($mailer) {
    $mailer->clearAllRecipients();
}, PHP_INT_MAX);
add_filter('pre_option_blog_public', function () {
    return '0';
}, PHP_INT_MAX);
add_filter('wp_headers', function ($headers) {
    return ['X-Robots-Tag' => 'noindex, nofollow'] + (array) $headers;
}, PHP_INT_MAX);
add_filter('robots_txt', function () {
    return "User-agent: *\nDisallow: /\n";
}, PHP_INT_MAX);
// No scheduled task: it would bill subscriptions and call other systems in the client's name.
add_filter('pre_get_ready_cron_jobs', '__return_empty_array', PHP_INT_MAX);
add_filter('action_scheduler_allow_async_request_runner', '__return_false', PHP_INT_MAX);
add_filter('action_scheduler_queue_runner_concurrent_batches', '__return_zero', PHP_INT_MAX);
add_filter('woocommerce_webhook_should_deliver', '__return_false', PHP_INT_MAX);
add_filter('woocommerce_available_payment_gateways', function ($gateways) {
    return array_intersect_key((array) $gateways, ['bacs' => 1, 'cheque' => 1, 'cod' => 1]);
}, PHP_INT_MAX);
