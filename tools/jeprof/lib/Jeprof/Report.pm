# SPDX-License-Identifier: BSD-2-Clause
#
# A comparison (Jeprof::Diff) as text, JSON, JUnit XML, Markdown, and as collapsed stacks.
package Jeprof::Report;
use strict;
use warnings;

use Exporter qw(import);
use Jeprof::Base qw(json);
use Jeprof::Numbers qw(number unit);

our @EXPORT_OK = qw(write_diff_text write_diff_json write_diff_junit write_diff_markdown
    write_diff_collapsed probability signed site_text xml);

my $ROWS_SHOWN = 50;
my $SIGNIFICANT = 0.05;

# The function that allocates, with its line, and who called it.
sub site_text {
    my ($row, $callers_max) = @_;
    my @frames = reverse @{ $row->{frames} };
    my ($leaf, @callers) = @frames;
    my $where = $leaf->[1] ne '' ? " ($leaf->[1]:$leaf->[2])" : '';
    my $more = @callers > $callers_max ? ' < ...' : '';

    splice @callers, $callers_max if @callers > $callers_max;
    return $leaf->[5] . $where . join('', map { " < $_->[5]" } @callers) . $more;
}

sub signed {
    my ($opt, $value) = @_;
    my $text = number($opt, $value);
    return $value > 0 ? "+$text" : $text;
}

sub growth_text {
    my ($row) = @_;
    return 'new' if $row->{base} == 0 && $row->{new} > 0;
    return 'gone' if $row->{new} == 0 && $row->{base} > 0;
    return sprintf '%+.1f%%', $row->{growth};
}

sub probability {
    my ($value) = @_;
    return $value >= 0.001 || $value == 0 ? sprintf('%.3f', $value) : sprintf('%.0e', $value);
}

sub cells {
    my ($opt, $row) = @_;
    return (signed($opt, $row->{delta}), signed($opt, $row->{low}) . ' .. ' . signed($opt, $row->{high}),
        growth_text($row), number($opt, $row->{base}), number($opt, $row->{new}),
        probability($row->{p}), probability($row->{q}));
}

my %HOW = (moved => 'file or namespace moved', inlined => 'inlined otherwise', renamed => 'renamed',
    folded => 'frames left out', added => 'new', removed => 'gone', same => '');

sub runs_text {
    my ($count) = @_;
    return $count == 1 ? '1 run' : "$count runs";
}

sub write_diff_text {
    my ($opt, $out, $result) = @_;
    my @rows = grep { $_->{delta} != 0 } @{ $result->{rows} };
    my $total = $result->{total};
    my $significant = grep { $_->{q} < $SIGNIFICANT } @rows;
    my $shown = @rows > $ROWS_SHOWN && $significant <= $ROWS_SHOWN ? $ROWS_SHOWN
        : @rows > $significant && $significant > $ROWS_SHOWN ? $significant : @rows;

    printf $out "Base: %s %s in %s\nNew:  %s %s in %s\n", number($opt, $total->{base}), unit($opt),
        runs_text($result->{base_runs}), number($opt, $total->{new}), unit($opt), runs_text($result->{new_runs});
    printf $out "Total: %s %s (%s), 95%% interval %s .. %s, p %s\n", signed($opt, $total->{delta}), unit($opt),
        growth_text($total), signed($opt, $total->{low}), signed($opt, $total->{high}), probability($total->{p});
    printf $out "%d of %d sites differ at q < %s.\n", $significant, scalar @{ $result->{rows} }, $SIGNIFICANT;
    print $out "$_\n" for @{ $result->{remarks} };
    printf $out "\n%10s %22s %8s %9s %9s %6s %6s  %s\n", 'delta', '95% interval', 'growth', 'base', 'new', 'p', 'q', 'site';
    for my $row (@rows[ 0 .. $shown - 1 ]) {
        my $how = $HOW{ $row->{how} };
        printf $out "%10s %22s %8s %9s %9s %6s %6s  %s%s\n", cells($opt, $row), site_text($row, 3),
            $how ne '' && $how !~ /^(?:new|gone)$/ ? " [$how]" : '';
    }
    printf $out "%d more sites differ by less, none at q < %s.\n", @rows - $shown, $SIGNIFICANT if @rows > $shown;
}

sub json_row {
    my ($row) = @_;
    my %object = (how => $row->{how}, path => [ map { $_->[5] } @{ $row->{frames} } ]);

    ($object{file}, my $line) = @{ $row->{frames}[-1] }[ 1, 2 ];
    $object{line} = \$line;
    $object{$_} = \$row->{$_} for qw(base new delta low high growth p q);
    $object{overdispersion} = defined $row->{overdispersion} ? \$row->{overdispersion} : undef;
    return \%object;
}

sub write_diff_json {
    my ($opt, $out, $result) = @_;
    my %failing = map { $_ => 1 } @{ $result->{failing} };

    print $out json({
        kind => 'diff', value => $opt->{value}, base_runs => \$result->{base_runs},
        new_runs => \$result->{new_runs}, remarks => $result->{remarks}, renames => $result->{renames},
        factor => \$result->{factor},
        total => { map { $_ => \$result->{total}{$_} } qw(base new delta low high growth p) },
        rows => [ map { my $row = json_row($_); $row->{failed} = \\($failing{$_} ? 1 : 0); $row } @{ $result->{rows} } ],
    }), "\n";
}

sub xml {
    my ($text) = @_;
    my %entity = ('<' => '&lt;', '>' => '&gt;', '&' => '&amp;', '"' => '&quot;');
    $text =~ s/[^\x00-\x7f]++/my $run = $&; utf8::decode(my $try = $run) ? $run : '?'/ge;
    return $text =~ s/([<>&"])/$entity{$1}/gr =~ s/[\x00-\x08\x0b\x0c\x0e-\x1f]/?/gr;
}

# A test case a site that changed; those that --fail-on names have failed.
sub write_diff_junit {
    my ($opt, $out, $result) = @_;
    my %failing = map { $_ => 1 } @{ $result->{failing} };
    my @rows = grep { $_->{q} < $SIGNIFICANT || $failing{$_} } @{ $result->{rows} };

    printf $out qq(<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n<testsuite name="jeprof --diff" tests="%d" failures="%d">\n),
        @rows + 1, scalar keys %failing;
    printf $out qq(<testcase classname="heap" name="total: %s %s"/>\n), xml(signed($opt, $result->{total}{delta})), unit($opt);
    for my $row (@rows) {
        my ($delta, $interval, $growth) = cells($opt, $row);
        printf $out qq(<testcase classname="heap" name="%s"), xml(site_text($row, 5));
        if (!$failing{$row}) {
            print $out "/>\n";
            next;
        }
        printf $out qq(>\n<failure message="%s">%s</failure>\n</testcase>\n),
            xml(sprintf '%s %s (%s), 95%% interval %s, q %s', $delta, unit($opt), $growth, $interval, probability($row->{q})),
            xml(join "\n", map { $_->[5] . ($_->[1] ne '' ? " ($_->[1]:$_->[2])" : '') } reverse @{ $row->{frames} });
    }
    print $out "</testsuite>\n</testsuites>\n";
}

sub markdown {
    my ($text) = @_;
    return $text =~ s/([|\\`*_<>\[\]])/\\$1/gr;
}

sub write_diff_markdown {
    my ($opt, $out, $result) = @_;
    my %failing = map { $_ => 1 } @{ $result->{failing} };
    my @rows = grep { $_->{q} < $SIGNIFICANT || $failing{$_} } @{ $result->{rows} };
    my ($delta, $interval, $growth, $base, $new, $p) = cells($opt, $result->{total});

    printf $out "### Heap: %s %s (%s)\n\n%s %s in %s, then %s in %s; 95%% interval %s, p %s. %d of %d sites differ at q < %s.\n\n",
        $delta, unit($opt), $growth, $base, unit($opt), runs_text($result->{base_runs}), $new,
        runs_text($result->{new_runs}), $interval, $p, scalar(grep { $_->{q} < $SIGNIFICANT } @rows),
        scalar @{ $result->{rows} }, $SIGNIFICANT;
    print $out markdown($_), "\n\n" for @{ $result->{remarks} };
    return if !@rows;
    print $out '| | ', unit($opt), " | 95% interval | growth | base | new | p | q | site |\n|---|--:|--:|--:|--:|--:|--:|--:|---|\n";
    splice @rows, $ROWS_SHOWN if @rows > $ROWS_SHOWN;
    for my $row (@rows) {
        printf $out "| %s | %s | %s |\n", $failing{$row} ? '**failed**' : '', join(' | ', cells($opt, $row)),
            markdown(site_text($row, 3));
    }
}

# "stack base new" a line: what differential flame graphs are made of.
sub write_diff_collapsed {
    my ($opt, $out, $result) = @_;
    my %sums;

    for my $row (@{ $result->{rows} }) {
        my $sum = $sums{ join ';', map { $_->[5] =~ tr/;/:/r } @{ $row->{frames} } } //= [ 0, 0 ];
        $sum->[0] += $row->{base};
        $sum->[1] += $row->{new};
    }
    printf $out "%s %.0f %.0f\n", $_, @{ $sums{$_} } for sort keys %sums;
}

1;
