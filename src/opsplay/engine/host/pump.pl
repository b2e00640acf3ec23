# tee(1) in pieces of a whole pipe rather than of 8 KiB: to standard output and to the first file. The
# second gets the number of bytes, the third the last 200 of them.
use strict;
use Fcntl;
my ($copy, $count, $end) = @ARGV;
my ($total, $last, $piece) = (0, '', '');
$SIG{PIPE} = 'DEFAULT';
fcntl(STDIN, 1031, 1 << 20);
# Not a plain open: that waits for ever when the reader was killed before it came.
my $hash;
for (my $tries = 1000; !sysopen($hash, $copy, O_WRONLY | O_NONBLOCK); select undef, undef, undef, 0.01) {
    die "$copy: nobody reads it\n" unless $! == 6 && --$tries; # ENXIO
}
fcntl($hash, F_SETFL, O_WRONLY);
fcntl($hash, 1031, 1 << 20);
while (1) {
    my $got = sysread STDIN, $piece, 1 << 20;
    die "read: $!\n" unless defined $got;
    last unless $got;
    $total += $got;
    for my $out ($hash, *STDOUT) {
        for (my $at = 0; $at < $got;) {
            my $written = syswrite $out, $piece, $got - $at, $at;
            die "write: $!\n" unless defined $written;
            $at += $written;
        }
    }
    $last = substr $last . substr($piece, $got > 200 ? $got - 200 : 0, $got), -200;
}
for ([$count, $total], [$end, $last]) {
    open my $file, '>', $_->[0] or die "$_->[0]: $!\n";
    print $file $_->[1] or die "write: $!\n";
    close $file or die "write: $!\n";
}
