# SPDX-License-Identifier: BSD-2-Clause
#
# The profile in other programs' formats: callgrind (kcachegrind, callgrind_annotate), pprof
# protobuf, and text with its symbols in it, which needs no program any more.
package Jeprof::Convert;
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max);
use Jeprof::Base qw(fail);
use Jeprof::Names qw(short_name);
use Jeprof::Numbers qw(total_of);

our @EXPORT_OK = qw(write_callgrind write_proto write_raw);

# [function, file, line] of each frame, innermost first; a place without a name is its address.
sub frames_of {
    my ($opt, $stack) = @_;
    my $places = $opt->{profile}{places};

    return map {
        my $place = $places->{$_};
        my $binary = $place->{binary} =~ s{.*/}{}r || '[unknown]';
        @{ $place->{frames} }
            ? map { [ short_name($_->[0]), $_->[1] || '???', $_->[2] ] } @{ $place->{frames} }
            : [ "$binary+$place->{offset}", '???', 0 ];
    } @{ $stack->{ids} };
}

# A name with its number; callgrind has it in full only the first time.
sub compressed {
    my ($known, $name) = @_;
    return "($known->{$name})" if $known->{$name};
    $known->{$name} = 1 + keys %$known;
    return "($known->{$name}) $name";
}

sub write_callgrind {
    my ($opt, $out, @stacks) = @_;
    my (%self, %calls, %files, %functions);

    for my $stack (@stacks) {
        my @frames = frames_of($opt, $stack);
        next if !@frames;
        my %seen;
        $self{"$frames[0][1]\0$frames[0][0]"}{ $frames[0][2] } += $stack->{value};
        for my $at (1 .. $#frames) {
            my ($callee, $caller) = @frames[ $at - 1, $at ];
            my $key = join "\0", $caller->[2], @$callee[ 1, 0, 2 ];
            next if $seen{"@$caller\0$key"}++;
            $calls{"$caller->[1]\0$caller->[0]"}{$key} += $stack->{value};
        }
    }
    printf $out "# callgrind format\nversion: 1\ncreator: jeprof\ncmd: %s\npositions: line\nevents: %s\nsummary: %.0f\n\n",
        $opt->{title}, $opt->{value}, total_of(@stacks);
    my %all = (%self, %calls);
    for my $key (sort keys %all) {
        my ($file, $function) = split /\0/, $key;
        printf $out "fl=%s\nfn=%s\n", compressed(\%files, $file), compressed(\%functions, $function);
        my $lines = $self{$key} // {};
        printf $out "%d %.0f\n", $_, $lines->{$_} for sort { $a <=> $b } keys %$lines;
        my $called = $calls{$key} // {};
        for my $call (sort keys %$called) {
            my ($line, $callee_file, $callee, $callee_line) = split /\0/, $call;
            printf $out "cfi=%s\ncfn=%s\ncalls=1 %d\n%d %.0f\n", compressed(\%files, $callee_file),
                compressed(\%functions, $callee), $callee_line, $line, $called->{$call};
        }
        print $out "\n";
    }
}

# ---- pprof protobuf ----

sub varint {
    my ($number) = @_;
    my $bytes = '';

    # Negative numbers, after --base, are 64-bit two's complement.
    while ($number >= 128 || $number < 0) {
        $bytes .= chr($number & 127 | 128);
        $number >>= 7; # of the bits: it is not negative any more
    }
    return $bytes . chr $number;
}

sub field {
    my ($number, $value) = @_;
    return $value == 0 ? '' : varint($number << 3) . varint($value);
}

sub message {
    my ($number, $bytes) = @_;
    return varint($number << 3 | 2) . varint(length $bytes) . $bytes;
}

# Numbers for texts, in the order in which they are first asked for.
sub numbering {
    my (@known) = @_;
    my %number = map { $known[$_] => $_ } 0 .. $#known;
    return sub {
        my ($text) = @_;
        return \@known if !defined $text;
        return $number{$text} //= do { push @known, $text; $#known };
    };
}

my $MAPPING_BYTES = 2**32;

sub write_proto {
    my ($opt, $out, @stacks) = @_;
    my $texts = numbering('');
    my (%mapping, %function, %location, %sum);
    my $body = '';

    for my $type ([qw(alloc_objects count)], [qw(alloc_space bytes)], [qw(inuse_objects count)], [qw(inuse_space bytes)]) {
        $body .= message(1, field(1, $texts->($type->[0])) . field(2, $texts->($type->[1])));
    }
    for my $stack (@stacks) {
        my $values = $sum{"@{ $stack->{ids} }"} //= [ 0, 0, 0, 0 ];
        $values->[$_] += $stack->{raw}{values}[$_] for 0 .. 3;
    }
    for my $ids (sort keys %sum) {
        my ($objects, $bytes, $alloc_objects, $alloc_bytes) = map { 0 + sprintf '%.0f', $_ } @{ $sum{$ids} };
        my @locations = map { $location{$_} //= 1 + keys %location } split / /, $ids;
        $body .= message(2, message(1, join '', map { varint($_) } @locations)
                . message(2, join '', map { varint($_) } $alloc_objects, $alloc_bytes, $objects, $bytes));
    }
    for my $id (sort { $location{$a} <=> $location{$b} } keys %location) {
        my $place = $opt->{profile}{places}{$id};
        my $mapping = $mapping{ $place->{binary} } //= 1 + keys %mapping;
        my $lines = '';
        for my $frame (@{ $place->{frames} }) {
            my ($name, $file, $line) = @$frame;
            my $number = $function{"$name\0$file"} //= 1 + keys %function;
            $lines .= message(4, field(1, $number) . field(2, $line));
        }
        my $address = $mapping * $MAPPING_BYTES + hex($place->{offset}) % $MAPPING_BYTES;
        $body .= message(4, field(1, $location{$id}) . field(2, $mapping) . field(3, $address) . $lines);
    }
    for my $binary (sort { $mapping{$a} <=> $mapping{$b} } keys %mapping) {
        my $start = $mapping{$binary} * $MAPPING_BYTES;
        $body .= message(3, field(1, $mapping{$binary}) . field(2, $start) . field(3, $start + $MAPPING_BYTES)
                . field(5, $texts->($binary)) . field(7, 1) . field(8, 1) . field(9, 1) . field(10, 1));
    }
    for my $key (sort { $function{$a} <=> $function{$b} } keys %function) {
        my ($name, $file) = split /\0/, $key, -1;
        $body .= message(5, field(1, $function{$key}) . field(2, $texts->($name)) . field(3, $texts->($name)) . field(4, $texts->($file)));
    }
    $body .= message(11, field(1, $texts->('space')) . field(2, $texts->('bytes'))) . field(12, 1);
    $body .= field(14, $texts->($opt->{value}));
    $body .= message(6, $_) for @{ $texts->() };
    my $packed;
    require IO::Compress::Gzip; # slow to load
    IO::Compress::Gzip::gzip(\$body, \$packed, Minimal => 1) or fail("cannot compress: ${IO::Compress::Gzip::GzipError}");
    print $out $packed;
}

# ---- symbols and profile ----

# Places get addresses of their own, for the profile's have no meaning outside its process.
sub write_raw {
    my ($opt, $out, @stacks) = @_;
    my $places = $opt->{profile}{places};
    my (%sum, %is_used);

    for my $stack (@stacks) {
        my $values = $sum{"@{ $stack->{ids} }"} //= [ 0, 0, 0, 0 ];
        $values->[$_] += $stack->{raw}{values}[$_] for 0 .. 3;
        $is_used{$_} = 1 for @{ $stack->{ids} };
    }
    my $address = sub { 0x1000 + 16 * $_[0] };
    # Of functions inlined into each other the outermost comes first.
    print $out "--- symbol\nbinary=", $opt->{title}, "\n";
    for my $id (sort { $a <=> $b } keys %is_used) {
        my $place = $places->{$id};
        my $names = @{ $place->{frames} }
            ? join '--', map { short_name($_->[0]) =~ s/\s/ /gr } reverse @{ $place->{frames} }
            : ($place->{binary} =~ s{.*/}{}r || '[unknown]') . "+$place->{offset}";
        printf $out "0x%016x %s\n", $address->($id), $names;
    }
    my @totals = (0, 0, 0, 0);
    for my $values (values %sum) {
        $totals[$_] += $values->[$_] for 0 .. 3;
    }
    printf $out "---\n--- heap\nheap profile: %6.0f: %8.0f [%6.0f: %8.0f] @ heapprofile\n", @totals;
    for my $ids (sort keys %sum) {
        # Callers are read as return addresses: one less is inside the call.
        my ($leaf, @callers) = split / /, $ids;
        next if !defined $leaf;
        printf $out "%6.0f: %8.0f [%6.0f: %8.0f] @%s\n", @{ $sum{$ids} },
            join '', map { sprintf ' 0x%016x', $_ } $address->($leaf), map { $address->($_) + 1 } @callers;
    }
}

1;
