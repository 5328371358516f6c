# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034
[ "$BASH_VERSION" ] && PS1='\[\033[1;32m\]\u@\h\[\033[0m\]:\[\033[1;34m\]\w\[\033[0m\]\$ '
alias ls='ls --color=auto' ll='ls -l' grep='grep --color=auto'
