# SPDX-License-Identifier: BSD-2-Clause
#
# Which sites leak, from a series of dumps of one process: docs/LEAKS.md.
package Jeprof::Leaks;
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max);
use Jeprof::Base qw(fail json);
use Jeprof::Diff qw(sites_of);
use Jeprof::Numbers qw(number unit);
use Jeprof::Read qw(filter_rows read_profile);
use Jeprof::Report qw(probability signed site_text);

our @EXPORT_OK = qw(find_leaks write_leaks_text write_leaks_json);

my $ROWS_SHOWN = 30;
my $DUMPS_MIN = 6;
my @GROWTH = qw(none ended falls leak turnover);
my %SUSPECT = (leak => 1, turnover => 1);

# What one sample stands for: a sample's weight, and never less than one object.
sub unit_of {
    my ($opt, $live, $alloc) = @_;
    my ($value, $variance) = (0, 0);

    for my $site (grep { defined } $live, $alloc) {
        $value += $_->[0] for @{ $site->{runs} };
        $variance += $_->[1] for @{ $site->{runs} };
    }
    my $size = unit($opt) eq 'objects' ? 1 : ($live // $alloc)->{size};
    return max($value > 0 ? $variance / $value : 0, $size);
}

# Live values and totals of each site over the series, in samples.
sub rows_of {
    my ($opt, $profile) = @_;
    my ($inuse, $alloc) = ($opt->{value} =~ s/^alloc/inuse/r, $opt->{value} =~ s/^inuse/alloc/r);
    my %live = map { $_->{key} => $_ } @{ sites_of({ %$opt, value => $inuse }, $profile) };
    my %total = map { $_->{key} => $_ } @{ sites_of({ %$opt, value => $alloc }, $profile) };
    my @rows;

    for my $key (sort keys %live) {
        my ($site, $past) = ($live{$key}, $total{$key});
        my $unit = unit_of($opt, $site, $past);
        my @live = map { $_->[0] } @{ $site->{runs} };
        my @born = map { $_->[0] } $past ? @{ $past->{runs} } : map { [0] } @live;
        push @rows, { frames => $site->{frames}, unit => $unit, live => \@live, born => \@born };
    }
    return (\@rows, %total > 0);
}

sub find_leaks {
    my ($opt, $program, @paths) = @_;
    my $count = @paths;

    fail("--leaks needs $DUMPS_MIN dumps of one process or more, and there are $count; "
        . 'MALLOC_CONF=lg_prof_interval:30 writes one each GiB allocated') if $count < $DUMPS_MIN;
    my $profile = read_profile({ %$opt, program => $program, each => 1, spread => 1 }, @paths);
    my ($rows, $has_totals) = rows_of($opt, $profile);
    my @answers = filter_rows([ '--leaks', $count ], map {
        my $row = $_;
        [ map { ($row->{live}[$_] / $row->{unit}, $row->{born}[$_] / $row->{unit}) } 0 .. $count - 1 ]
    } @$rows);
    for my $at (0 .. $#$rows) {
        my ($row, $growth, @numbers) = ($rows->[$at], @{ $answers[$at] });
        $row->{growth} = $GROWTH[$growth];
        @$row{qw(slope slope_low slope_high births deaths)} = map { $_ * $row->{unit} } @numbers[ 0, 1, 2, 4, 5 ];
        @$row{qw(trend_p age_low p q)} = @numbers[ 3, 6, 7, 8 ];
        @$row{qw(births_count deaths_count)} = @numbers[ 4, 5 ];
    }
    my %rank = (leak => 0, turnover => 1);
    my @sorted = sort {
        ($rank{ $a->{growth} } // 2) <=> ($rank{ $b->{growth} } // 2)
            || $b->{slope_low} <=> $a->{slope_low} || $b->{slope} <=> $a->{slope}
            || $a->{frames}[-1][5] cmp $b->{frames}[-1][5]
    } @$rows;
    return { rows => \@sorted, dumps => $count, has_totals => $has_totals, paths => \@paths };
}

my %VERDICT = (
    none => 'at rest', ended => 'grew, and has stopped', falls => 'rises and falls back', leak => 'LEAK',
    turnover => 'GROWS',
);

# The evidence in a sentence.
sub evidence {
    my ($opt, $row) = @_;
    my ($first, $last) = @{ $row->{live} }[ 0, -1 ];
    my $unit = unit($opt);
    my $text = sprintf 'from %s to %s %s; in the second half about %.0f samples were born and %.0f died',
        number($opt, $first), number($opt, $last), $unit, $row->{births_count}, $row->{deaths_count};
    return $text . sprintf('; objects live %.3g dumps or more', $row->{age_low}) if $row->{age_low} > 0;
    return $text;
}

sub write_leaks_text {
    my ($opt, $out, $result) = @_;
    my @rows = @{ $result->{rows} };
    my @suspects = grep { $SUSPECT{ $_->{growth} } } @rows;
    my @others = grep { $_->{growth} ne 'none' && !$SUSPECT{ $_->{growth} } } @rows;

    printf $out "%d dumps, %d sites: %d grow without end (q < 0.05).\n", $result->{dumps}, scalar @rows, scalar @suspects;
    print $out "The dumps have no totals, so births and deaths between two of them are not seen: opt.prof_accum tells more.\n"
        if !$result->{has_totals};
    printf $out "\n%12s %24s %9s %6s  %-22s %s\n", 'growth/dump', '95% interval', 'live', 'q', 'verdict', 'site';
    splice @others, $ROWS_SHOWN if @others > $ROWS_SHOWN;
    for my $row (@suspects, @others) {
        printf $out "%12s %24s %9s %6s  %-22s %s\n", signed($opt, $row->{slope}),
            signed($opt, $row->{slope_low}) . ' .. ' . signed($opt, $row->{slope_high}), number($opt, $row->{live}[-1]),
            probability($row->{q}), $VERDICT{ $row->{growth} }, site_text($row, 3);
        printf $out "%12s %s\n", '', evidence($opt, $row) if $SUSPECT{ $row->{growth} };
    }
}

sub write_leaks_json {
    my ($opt, $out, $result) = @_;
    my @rows;

    for my $row (@{ $result->{rows} }) {
        my %object = (verdict => $row->{growth}, path => [ map { $_->[5] } @{ $row->{frames} } ]);
        $object{$_} = \$row->{$_} for qw(slope slope_low slope_high births deaths trend_p age_low p q);
        $object{live} = [ map { \$_ } @{ $row->{live} } ];
        push @rows, \%object;
    }
    print $out json({
        kind => 'leaks', value => $opt->{value}, dumps => $result->{paths}, rows => \@rows,
        has_totals => \\($result->{has_totals} ? 1 : 0),
    }), "\n";
}

1;
