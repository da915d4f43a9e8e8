# SPDX-License-Identifier: BSD-2-Clause
#
# How every part fails, and shortens what it shows.
package Jeprof::Base;
use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(fail note cut open_output close_output json);

sub fail {
    print STDERR 'jeprof: ', @_, "\n";
    exit 1;
}

sub note {
    print STDERR 'jeprof: ', @_, "\n";
}

# The text, or its beginning; what is cut is cut between characters of UTF-8.
sub cut {
    my ($text, $bytes) = @_;
    return $text if length $text <= $bytes;
    return substr($text, 0, $bytes) =~ s/[\xc0-\xff][\x80-\xbf]*\z//r . '...';
}

sub open_output {
    my ($path) = @_;
    return \*STDOUT if !defined $path;
    open my $file, '>', $path or fail("$path: $!");
    return $file;
}

sub close_output {
    my ($out, $path) = @_;
    close $out or fail(($path // 'standard output') . ": $!");
}

my %ESCAPE = ("\n" => '\n', "\t" => '\t', '"' => '\"', '\\' => '\\\\');

# A text as JSON has it: bytes that are no UTF-8 become U+FFFD, for readers refuse them.
sub json_text {
    my ($text) = @_;
    my $copy = $text;
    $copy =~ s/[^\x00-\x7f]++/my $run = $&; utf8::decode(my $try = $run) ? $run : "\xef\xbf\xbd"/ge;
    $copy =~ s/([\x00-\x1f"\\])/$ESCAPE{$1} \/\/ sprintf('\\u%04x', ord $1)/ge;
    return qq("$copy");
}

# Numbers, texts, lists and tables as JSON, keys sorted. A reference to a number is a number, one to
# another reference a truth.
sub json {
    my ($value) = @_;
    my $kind = ref $value;

    return 'null' if !defined $value;
    return '[' . join(',', map { json($_) } @$value) . ']' if $kind eq 'ARRAY';
    return '{' . join(',', map { json_text($_) . ':' . json($value->{$_}) } sort keys %$value) . '}'
        if $kind eq 'HASH';
    return $$$value ? 'true' : 'false' if $kind eq 'REF';
    if ($kind eq 'SCALAR') {
        return $$value != $$value || abs($$value) == 9**9**9 ? 'null' : $$value;
    }
    return json_text($value);
}

1;
