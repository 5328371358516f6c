# SPDX-License-Identifier: Apache-2.0
# One Makefile, not recursive. The lists of sources below are the architecture: what is not in a list is not in the binary.
#
#   make            the programs          make test    everything that CI checks
#   make demo       a VM in the browser   make bench   figures, beside ttyd with TTYD=path
#   make fuzz tidy install clean          V=1 shows commands, SAN=1 builds with ASan and UBSan, WERROR=1 as CI does

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
SBINDIR    ?= $(PREFIX)/sbin
MANDIR     ?= $(PREFIX)/share/man
SYSCONFDIR ?= /etc
UNITDIR    ?= /lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
TMPFILESDIR ?= /usr/lib/tmpfiles.d
STATEDIR   ?= /var/lib/terrarium
LIBEXECDIR ?= $(PREFIX)/libexec/terrarium
DOCDIR     ?= $(PREFIX)/share/doc/terrarium
DESTDIR    ?=
CC         ?= gcc
CLANG      ?= clang
PKG_CONFIG ?= pkg-config
NODE       ?= node
V          ?= 0
SAN        ?= 0
WERROR     ?= 0

ifneq ($(V),1)
Q := @
SAY = @printf '  %-7s %s\n'
else
SAY = @:
endif

# --- sources, by layer -------------------------------------------------------------------------------------------------
BASE     := base/buf.c base/cli.c base/conf.c base/err.c base/fd.c base/hex.c base/ipc.c base/log.c base/loop.c base/when.c
OUTGOING := base/httpc.c
NETSETUP := $(filter-out netsetup/main.c,$(sort $(wildcard netsetup/*.c)))
HV       := $(sort $(wildcard hv/*.c))
AUTH     := $(sort $(wildcard auth/*.c))
AGENT_HOST  := hv/agent/codec.c hv/agent/host.c hv/agent/channel.c
AGENT_GUEST := hv/agent/codec.c $(sort $(wildcard hv/agent/guest_*.c))
SNP      := $(sort $(wildcard hv/snp/*.c))
VERITY   := hv/verity/verity.c
CTL      := $(filter-out gateway/ctl/main.c,$(sort $(wildcard gateway/ctl/*.c)))
GATEWAY  := $(filter-out gateway/main.c,$(sort $(wildcard gateway/*.c)))

# --- programs ----------------------------------------------------------------------------------------------------------
terrariumd_SRC      := gateway/main.c $(GATEWAY) $(AUTH) $(HV) $(OUTGOING) $(BASE)
terrarium-netd_SRC  := netsetup/main.c $(NETSETUP) $(BASE)
terrarium_SRC       := gateway/ctl/main.c $(CTL) $(SNP) $(VERITY) gateway/settings.c base/cli.c base/conf.c base/err.c base/fd.c base/hex.c \
                       base/buf.c base/httpc.c base/loop.c
terrarium-agent_SRC := hv/agent/guest.c $(AGENT_GUEST) base/buf.c base/fd.c base/log.c base/loop.c

PROGRAMS := terrariumd terrarium-netd terrarium terrarium-agent

CTL_LIBS      := -lmbedx509 -lmbedcrypto $(shell $(PKG_CONFIG) --libs jansson libcurl) -lev -linih -lpthread
GATEWAY_LIBS  := -lwebsockets -lmbedx509 -lmbedcrypto $(shell $(PKG_CONFIG) --libs jansson sqlite3 libcurl libjwt) -lcsv -lev -linih -lpthread
AGENT_LIBS    := -lev -lm
NETSETUP_LIBS := $(shell $(PKG_CONFIG) --libs libmnl libnftables) -lev -linih

# --- flags -------------------------------------------------------------------------------------------------------------
WARN := -Wall -Wextra -Wpedantic -Wformat=2 -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
        -Wcast-qual -Wcast-align -Wundef -Wvla -Walloca -Wimplicit-fallthrough -Wnull-dereference
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -fno-strict-overflow \
          -fno-delete-null-pointer-checks
# gcc 12 miscompiles it: clearing the padding of `struct x y = { .part = *z }` also clears the first member of an array of padded structs in it.
ifeq ($(shell [ "$$($(CC) -dumpversion | cut -d. -f1)" -ge 14 ] 2>/dev/null && echo yes),yes)
HARDEN += -ftrivial-auto-var-init=zero
endif
CPPFLAGS += -I. -D_GNU_SOURCE
CFLAGS   ?= -O2 -g
STD      := -std=c17 -fPIE -fvisibility=hidden -ffile-prefix-map=$(CURDIR)=. -MMD -MP
LINK     := -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code -Wl,--as-needed
ifeq ($(WERROR),1)
WARN += -Werror
endif
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
ifeq ($(SAN),1)
O := build/san
FLAGS := $(STD) $(WARN) -O1 -g $(SANFLAGS)
LINK  += $(SANFLAGS)
else
O := build
FLAGS := $(STD) $(WARN) $(CFLAGS) $(HARDEN) -D_FORTIFY_SOURCE=3
endif

.PHONY: all verifier test test-all demo bench fuzz tidy unit memcheck node story fresh install install-image clean image
.DELETE_ON_ERROR:
all: $(PROGRAMS:%=$O/%)

$O/obj/%.o: %.c
	$(SAY) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(FLAGS) -c -o $@ $<

# --- the page, compiled in ---------------------------------------------------------------------------------------------
WEB_SRC := $(wildcard web/*.html web/*.css web/*.js web/*.mjs web/*.svg web/*.webmanifest web/i18n/*.json)
build/web.stamp: web/package-lock.json
	$(SAY) NPM web
	@mkdir -p build
	$(Q)cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@
build/assets.c: $(WEB_SRC) build/web.stamp
	$(SAY) WEB build/assets.c
	$(Q)$(NODE) web/build.mjs build
build/assets.S: build/assets.c
$O/obj/assets.o: build/assets.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(FLAGS) -c -o $@ $<
$O/obj/assets_data.o: build/assets.c build/assets.S
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ build/assets.S

$O/terrariumd: $(terrariumd_SRC:%.c=$O/obj/%.o) $O/obj/assets.o $O/obj/assets_data.o
	$(SAY) LINK $@
	$(Q)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ $(GATEWAY_LIBS)
$O/terrarium-netd: $(terrarium-netd_SRC:%.c=$O/obj/%.o)
	$(SAY) LINK $@
	$(Q)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ $(NETSETUP_LIBS)

# For guests of any distribution: nothing of theirs is needed. Sanitizers cannot be linked so.
AGENT_LINK := $(if $(filter 1,$(SAN)),$(LINK),-static-pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code)
$O/terrarium-agent: $(terrarium-agent_SRC:%.c=$O/obj/%.o)
	$(SAY) LINK $@
	$(Q)$(CC) $(AGENT_LINK) $(LDFLAGS) -o $@ $^ $(AGENT_LIBS)

# --- the guest image ---------------------------------------------------------------------------------------------------
image: build/images/micro/manifest.json
build/images/micro/manifest.json: deploy/guest/build.sh $(shell find deploy/guest/rootfs -type f)
	$(SAY) IMAGE micro
	$(Q)deploy/guest/build.sh

# The page that judges attestation reports, to be saved and opened from disk; prints its SHA-256, which releases publish.
verifier: build/verifier.html
build/verifier.html: web/attest.js $(wildcard web/attest/*) build/web.stamp
	$(Q)$(NODE) web/attest/build-standalone.mjs $@

$O/terrarium: $(terrarium_SRC:%.c=$O/obj/%.o)
	$(SAY) LINK $@
	$(Q)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ $(CTL_LIBS)

# --- to run it ---------------------------------------------------------------------------------------------------------
# DEMO="--driver=local" and the like reaches terrariumd.
demo:
	$(Q)deploy/demo.sh $(DEMO)

UNITS := vmnet.service terrarium-netd.service terrariumd.service
FILL  := -e 's,@SBINDIR@,$(SBINDIR),' -e 's,@LIBEXECDIR@,$(LIBEXECDIR),' -e 's,@DOCDIR@,$(DOCDIR),'
install: all
	$(SAY) INSTALL $(DESTDIR)$(PREFIX)
	$(Q)install -d $(addprefix $(DESTDIR),$(BINDIR) $(SBINDIR) $(LIBEXECDIR) $(DOCDIR) $(UNITDIR) $(SYSUSERSDIR) $(TMPFILESDIR) \
		$(SYSCONFDIR)/terrarium $(MANDIR)/man1 $(MANDIR)/man5 $(MANDIR)/man8)
	$(Q)install -m 755 $O/terrarium $(DESTDIR)$(BINDIR)
	$(Q)install -m 755 $O/terrariumd $O/terrarium-netd $(DESTDIR)$(SBINDIR)
	$(Q)install -m 755 deploy/vmnet.sh $(DESTDIR)$(LIBEXECDIR)
	$(Q)install -m 644 $(wildcard docs/*.md) README.md LICENSE $(DESTDIR)$(DOCDIR)
	$(Q)for s in 1 5 8; do install -m 644 docs/*.$$s $(DESTDIR)$(MANDIR)/man$$s || exit 1; done
	$(Q)for u in $(UNITS); do sed $(FILL) deploy/systemd/$$u >$(DESTDIR)$(UNITDIR)/$$u || exit 1; done
	$(Q)install -m 644 deploy/systemd/sysusers.conf $(DESTDIR)$(SYSUSERSDIR)/terrarium.conf
	$(Q)install -m 644 deploy/systemd/tmpfiles.conf $(DESTDIR)$(TMPFILESDIR)/terrarium.conf
	$(Q)install -m 644 deploy/terrarium.conf.example $(DESTDIR)$(SYSCONFDIR)/terrarium
install-image: image
	$(SAY) INSTALL $(DESTDIR)$(STATEDIR)/images/micro
	$(Q)install -d $(DESTDIR)$(STATEDIR)/images/micro
	$(Q)install -m 644 $(addprefix build/images/micro/,vmlinux initrd manifest.json) $(DESTDIR)$(STATEDIR)/images/micro

# --- tests -------------------------------------------------------------------------------------------------------------
# Unit tests: tests/unit/test_X.c, cmocka, always with sanitizers; they link what they need out of one archive (a test may define
# stand-ins for functions of other files: those are then not pulled in).
UNIT := $(patsubst tests/unit/%.c,%,$(sort $(wildcard tests/unit/test_*.c)))
LIB_SRC := $(BASE) $(OUTGOING) $(NETSETUP) $(HV) $(sort $(AGENT_HOST) $(AGENT_GUEST)) $(AUTH) $(GATEWAY) $(SNP) $(VERITY) $(CTL)
S := build/san
ifneq ($(SAN),1)
$S/obj/%.o: %.c
	$(SAY) CC.san $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(STD) $(WARN) -O1 -g $(SANFLAGS) -c -o $@ $<
endif
$S/libterrarium.a: $(LIB_SRC:%.c=$S/obj/%.o)
	$(Q)rm -f $@ && ar rcs $@ $^
$S/unit/%: $S/obj/tests/unit/%.o $S/libterrarium.a
	$(SAY) TEST $@
	@mkdir -p $(@D)
	$(Q)$(CC) -pie $(SANFLAGS) -o $@ $< $S/libterrarium.a -lcmocka $(GATEWAY_LIBS) $(NETSETUP_LIBS) -lm
unit: $(UNIT:%=$S/unit/%)
	$(Q)tests/runner unit $(UNIT:%=$S/unit/%)

# Fuzz targets: tests/fuzz/fuzz_X.c with its corpus in tests/fuzz/corpus/X. FUZZ_SECONDS each.
FUZZ_SECONDS ?= 10
FUZZ := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
F := build/fuzz
$F/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) -std=c17 -MMD -MP -O1 -g -fsanitize=fuzzer-no-link,address,undefined -c -o $@ $<
$F/libterrarium.a: $(LIB_SRC:%.c=$F/obj/%.o)
	$(Q)rm -f $@ && ar rcs $@ $^
$F/fuzz_%: $F/obj/tests/fuzz/fuzz_%.o $F/libterrarium.a
	$(SAY) FUZZ $@
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined -o $@ $< $F/libterrarium.a $(GATEWAY_LIBS) $(NETSETUP_LIBS)
fuzz: $(FUZZ:%=$F/%)
	$(Q)FUZZ_SECONDS=$(FUZZ_SECONDS) tests/runner fuzz $(FUZZ:%=$F/%)

tidy:
	$(Q)mkdir -p build && tests/tidy $(sort $(LIB_SRC) gateway/main.c gateway/ctl/main.c netsetup/main.c hv/agent/guest.c)

# The same unit tests without sanitizers, under valgrind.
P := build/plain
$P/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(STD) $(WARN) -O1 -g -c -o $@ $<
$P/libterrarium.a: $(LIB_SRC:%.c=$P/obj/%.o)
	$(Q)rm -f $@ && ar rcs $@ $^
$P/unit/%: $P/obj/tests/unit/%.o $P/libterrarium.a
	@mkdir -p $(@D)
	$(Q)$(CC) -pie -o $@ $< $P/libterrarium.a -lcmocka $(GATEWAY_LIBS) $(NETSETUP_LIBS) -lm
memcheck: $(UNIT:%=$P/unit/%)
	$(Q)tests/runner memcheck $(UNIT:%=$P/unit/%)

# Playwright and the stand-in identity providers want a newer node than Debian 12's: npm has one, for tests/runner only.
build/tests-web.stamp: tests/web/package-lock.json tests/node/package-lock.json
	$(SAY) NPM tests/web
	@mkdir -p build
	$(Q)cd tests/web && npm ci --no-audit --no-fund --loglevel=error
	$(Q)node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' || \
		{ cd tests/node && npm ci --no-audit --no-fund --loglevel=error; }
	@touch $@
node: build/tests-web.stamp build/web.stamp
	$(Q)tests/runner node $(sort $(wildcard tests/web/*.test.mjs))

# Drives hv/ without a gateway, for the stories about machines.
build/tests/hv_boot: build/obj/tests/run/hv_boot.o $(HV:%.c=build/obj/%.o) $(OUTGOING:%.c=build/obj/%.o) $(BASE:%.c=build/obj/%.o)
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^ $(shell $(PKG_CONFIG) --libs jansson libcurl) -lev -linih -lpthread

# What stories about the helper are told with: a gateway in miniature, and a stand-in for a guest.
build/tests/netdc build/tests/tapwire: build/tests/%: build/obj/tests/run/%.o $(BASE:%.c=build/obj/%.o)
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^ -lev -linih

# Numbered stories with real processes, namespaces, VMs and a browser. STORY=31 runs those whose name begins so.
STORY ?=
story: all image build/tests-web.stamp build/tests/netdc build/tests/tapwire build/tests/hv_boot
	$(Q)tests/runner story $(sort $(wildcard tests/run/$(STORY)*.sh))

test:
	$(Q)deploy/install-deps.sh build test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) WERROR=1 test-all
test-all: all
	$(Q)tests/runner reset
	$(SAY) TEST unit
	$(Q)$(MAKE) --no-print-directory unit
	$(SAY) TEST node
	$(Q)$(MAKE) --no-print-directory node
	$(SAY) TEST stories
	$(Q)$(MAKE) --no-print-directory story
	$(SAY) TEST fuzz
	$(Q)$(MAKE) --no-print-directory fuzz
	$(SAY) TEST memcheck
	$(Q)$(MAKE) --no-print-directory memcheck
	$(SAY) TEST tidy
	$(Q)$(MAKE) --no-print-directory tidy
	$(Q)tests/runner sum

# `make test` on a bare Debian root: SUITE=bookworm or trixie, AS=root or user. Slow, needs root.
SUITE ?= bookworm
AS    ?= root
fresh:
	$(Q)tests/fresh/run.sh $(SUITE) $(AS)

# Load generator and child for `make bench`; TTYD=/path measures that ttyd beside us, QUICK=1 takes two minutes.
TTYD  ?=
QUICK ?= 0
BENCH_LOAD := tests/bench/load.c tests/bench/session.c tests/bench/client.c tests/bench/usage.c
build/bench/load: $(BENCH_LOAD:%.c=build/obj/%.o)
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^ $(shell $(PKG_CONFIG) --libs jansson) -lpthread -lm
build/bench/child: build/obj/tests/bench/child.o
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^
bench: all build/bench/load build/bench/child
	$(Q)TTYD='$(TTYD)' QUICK=$(QUICK) $(NODE) tests/bench/bench.mjs

# Three levels of folders: base/, hv/snp/ or tests/unit/, and below each of the build's own.
-include $(foreach d,build/obj $S/obj $F/obj $P/obj,$(wildcard $d/*/*.d $d/*/*/*.d))

clean:
	$(Q)rm -rf build
