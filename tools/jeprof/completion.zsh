#compdef jeprof
# SPDX-License-Identifier: BSD-2-Clause
#
# zsh reads the options from jeprof's help itself.
_gnu_generic
