# SPDX-License-Identifier: BSD-2-Clause
#
# What is shown of a function's name, and what of it stays the same from build to build.
#
# Names come out of other people's files, and may be of any length and shape. So they are walked
# once and by hand: a regular expression that recurses or goes back takes hours for some.
package Jeprof::Names;
use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(short_name normal_name);

my %SHORT_NAME;

# The name without what compilers append to copies of a function.
sub cut_clones {
    my ($name) = @_;

    while (substr($name, -1) eq ']') {
        my $at = rindex $name, ' [clone ';
        last if $at <= 0 || index($name, ']', $at) != length($name) - 1;
        $name = substr $name, 0, $at;
    }
    return $name if $name =~ /[ (<]/;
    return $name =~ s/\.(?:isra|constprop|part|cold|lto_priv|llvm|localalias|clone)(?:\.\d++)*+(?=\z|\.)//gr;
}

# Where the parameter list begins that ends the name, found from behind: `X::operator()(int)`
# and `f(int)::g(long) const` have more than one. -1: there is none.
sub parameters_at {
    my ($name) = @_;
    my $reversed = reverse $name;
    my $depth = 0;

    my ($qualifiers) = $reversed =~ /\A((?:tsnoc |elitalov |&&? )*+)/;
    return -1 if substr($reversed, length $qualifiers, 1) ne ')';
    while ($reversed =~ /([()])/g) {
        $depth += $1 eq ')' ? 1 : -1;
        return length($name) - pos $reversed if $depth == 0;
    }
    return -1;
}

# A demangled template function begins with its return type: what is before the last blank
# outside of all brackets. The name of an operator may hold blanks and half brackets itself.
sub cut_return_type {
    my ($name) = @_;
    my ($depth, $after) = (0, 0);

    while ($name =~ /(\boperator\b)|([<({\[])|([>)}\]])| /g) {
        last if defined $1 && $depth == 0;
        next if defined $1;
        $depth++ if defined $2;
        $depth-- if defined $3;
        $after = pos $name if !defined $2 && !defined $3 && $depth == 0;
    }
    return substr $name, $after;
}

sub cut_parameters {
    my ($name) = @_;

    $name = cut_clones($name);
    my $at = parameters_at($name);
    return $name if $at <= 0;
    my $head = substr $name, 0, $at;
    return $head =~ /\boperator\z/ ? $name : cut_return_type($head);
}

sub short_name {
    my ($name) = @_;
    return $SHORT_NAME{$name} //= cut_parameters($name);
}

# `{lambda(int, char)#3}`, in debug information `<lambda(int, char)>`, ends at its own bracket: the
# types inside may have brackets too.
sub cut_lambdas {
    my ($name, $ordinals) = @_;
    my $done = '';

    while ($name =~ /[{<]lambda\(/) {
        my $at = $-[0];
        pos($name) = $at;
        my $depth = 0;
        while ($name =~ /\G[^{}<>]*+([{}<>])/gc) {
            $depth += $1 eq '{' || $1 eq '<' ? 1 : -1;
            last if $depth == 0;
        }
        return $done . $name if $depth != 0;
        my $lambda = substr $name, $at, pos($name) - $at;
        push @$ordinals, $lambda =~ /#(\d+)\}\z/ ? $1 : 0;
        $done .= substr($name, 0, $at) . '{lambda}';
        $name = substr $name, pos $name;
    }
    return $done . $name;
}

# The name without parameter lists wherever they stand: compilers spell types differently, and
# debug information leaves lists out.
sub cut_lists {
    my ($name) = @_;
    my ($done, $depth) = ('', 0);

    $name =~ s/\boperator\(\)/operator\0/g;
    while ($name =~ /([^()]++|[()])/g) {
        my $piece = $1;
        $depth-- if $piece eq ')' && $depth > 0;
        $done .= $piece if $depth == 0 && $piece ne '(' && $piece ne ')';
        $depth++ if $piece eq '(';
    }
    return $done =~ s/\0/()/gr;
}

my %NORMAL_NAME;

# [the name without what changes from build to build, the numbers taken out of it]: numbers count
# lambdas, closures and unnamed types in the order of the source.
sub normal_name {
    my ($function) = @_;

    return $NORMAL_NAME{$function} //= do {
        my @ordinals;
        my $name = short_name($function);
        $name =~ s/\[abi:[^\]]*+\]//g;
        # Debug information leaves them out where the symbol has them.
        $name =~ s/(?:\(anonymous namespace\)|\{anonymous\}|<anonymous>|_GLOBAL__N_1)::+//g;
        # Rust: the hash of the legacy mangling, the crate's disambiguator of the new one.
        $name =~ s/::h[0-9a-f]{16}\z//;
        $name =~ s/\[[0-9a-f]{1,16}\]//g;
        $name =~ s/(?<=::)\{\{closure\}\}/{closure}/g;
        $name =~ s/\(lambda at [^()]*+\)/{lambda}/g;
        $name = cut_lambdas($name, \@ordinals);
        # GCC's and rustc's numbered braces, and Clang's lambdas by its own demangler and by symbol.
        $name =~ s/\{(closure|unnamed type|shim|impl)#(\d+)\}/push @ordinals, $2; "{$1}"/ge;
        $name =~ s/(?<=::)\$_(\d+)/push @ordinals, $1; '{lambda}'/ge;
        $name =~ s/'lambda(\d*)'(?:\([^()]*+\))?/push @ordinals, $1 || 0; '{lambda}'/ge;
        $name = cut_lists($name) =~ s/(?<=[>}]) (?=>)//gr;
        # GCC's debug information does not say that an operator() is a lambda's.
        $name =~ s/\{lambda\}::(?=operator\(\)\z)//;
        [ $name, \@ordinals ];
    };
}

1;
