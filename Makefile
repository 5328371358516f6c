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
BASE     := base/buf.c base/cli.c base/conf.c base/err.c base/fd.c base/hex.c base/ipc.c base/log.c base/loop.c base/thread.c base/when.c
OUTGOING := base/httpc.c
NETSETUP := netsetup/caller.c netsetup/cgroup.c netsetup/config.c netsetup/ends.c netsetup/inner.c netsetup/net.c \
            netsetup/nft.c netsetup/nl.c netsetup/ops.c netsetup/plan.c netsetup/privs.c netsetup/request.c netsetup/slot.c \
            netsetup/spawn.c netsetup/subnet.c netsetup/sysctl.c netsetup/tap.c netsetup/undertaker.c
HV       := hv/bootwatch.c hv/card.c hv/change.c hv/ch.c hv/ch_api.c hv/ch_config.c hv/ch_handover.c hv/ch_plan.c hv/ch_snapshot.c hv/ch_vsock.c hv/cmdline.c hv/confidential.c hv/folder.c hv/frames.c hv/helper.c hv/hv.c hv/image.c hv/image_key.c hv/image_list.c hv/landlock.c hv/local.c hv/memory.c \
            hv/plan.c hv/probe.c hv/qemu.c hv/qemu_balloon.c hv/qemu_plug.c hv/qemu_snp.c hv/qmp.c hv/spec.c hv/standby.c hv/sync.c hv/template.c hv/tsc.c hv/turn.c hv/vm.c
AUTH     := auth/access.c auth/audit.c auth/db.c auth/demo.c auth/disk.c auth/email.c auth/hypha.c auth/identity.c auth/invite.c \
            auth/jwt.c auth/keyset.c auth/oidc.c auth/oidc_device.c auth/oidc_meta.c auth/prefs.c auth/proxy.c auth/recording.c auth/rule_csv.c \
            auth/rule_json.c auth/rulebook.c auth/rules.c auth/secret.c auth/session.c auth/setup.c auth/share.c auth/signin.c auth/store.c \
            auth/token.c
AGENT_HOST  := hv/agent/codec.c hv/agent/host.c hv/agent/channel.c
AGENT_GUEST := hv/agent/codec.c hv/agent/enter.c hv/agent/entry.c hv/agent/guest_address.c hv/agent/guest_console.c hv/agent/guest_file.c hv/agent/guest_health.c hv/agent/guest_identity.c \
               hv/agent/guest_job.c hv/agent/guest_port.c hv/agent/guest_link.c hv/agent/guest_rebirth.c hv/agent/guest_request.c hv/agent/guest_secret.c hv/agent/guest_spawn.c hv/agent/report.c \
               hv/agent/sealed.c hv/agent/sealed_pty.c
SNP      := hv/snp/certs.c hv/snp/chain.c hv/snp/check.c hv/snp/crl.c hv/snp/firmware.c hv/snp/idblock.c hv/snp/kds.c \
            hv/snp/measure.c hv/snp/policy.c hv/snp/policy_json.c hv/snp/report.c hv/snp/roots.c hv/snp/sha.c \
            hv/snp/signature.c hv/snp/vek.c hv/snp/verify.c hv/snp/vmsa.c
VERITY   := hv/verity/verity.c
SEAL     := hv/seal/curve.c hv/seal/record.c hv/seal/seal.c
LAUNCH   := hv/confidential.c hv/image.c hv/image_key.c hv/image_list.c hv/plan.c hv/qemu_snp.c hv/spec.c
KCONFIG  := hv/kconfig.c
HOST     := hv/host/check.c hv/host/live.c hv/host/record.c
CTL      := gateway/ctl/attach.c gateway/ctl/begin.c gateway/ctl/cmd_attach.c gateway/ctl/cmd_exec.c gateway/ctl/csession.c gateway/ctl/exec.c gateway/ctl/frames.c \
            gateway/ctl/pick.c gateway/ctl/pieces.c gateway/ctl/ws.c gateway/ctl/cmd_audit.c gateway/ctl/cmd_config_check.c gateway/ctl/cmd_host_check.c gateway/ctl/cmd_host_show.c gateway/ctl/cmd_login.c \
            gateway/ctl/cmd_cp.c gateway/ctl/cmd_image.c gateway/ctl/child.c gateway/ctl/cmd_image_build.c gateway/ctl/cmd_image_check_kernel.c gateway/ctl/cmd_image_delete.c gateway/ctl/cmd_image_import.c gateway/ctl/cmd_image_verify.c gateway/ctl/cmd_recording.c gateway/ctl/cmd_secret.c gateway/ctl/cmd_setup.c gateway/ctl/cp.c gateway/ctl/cmd_snp_fetch.c gateway/ctl/cmd_snp_id_block.c \
            gateway/ctl/cmd_snp_measure.c gateway/ctl/cmd_snp_launch.c gateway/ctl/cmd_snp_owner_key.c gateway/ctl/evidence.c \
            gateway/ctl/owner_key.c gateway/ctl/sealed.c \
            gateway/ctl/cmd_snp_verify.c gateway/ctl/cmd_share.c gateway/ctl/cmd_user.c gateway/ctl/cmd_verity_hash.c \
            gateway/ctl/cmd_verity_verify.c gateway/ctl/cmd_vm.c gateway/ctl/cmd_volume.c gateway/ctl/cmd_vm_attest.c \
            gateway/ctl/ctl.c gateway/ctl/image_store.c gateway/ctl/list.c gateway/ctl/oci.c gateway/ctl/oci_tar.c gateway/ctl/login.c gateway/ctl/rest.c gateway/ctl/rfc3339.c \
            gateway/ctl/table.c
GATEWAY  := gateway/api.c gateway/api_ask.c gateway/api_attestation.c gateway/api_host.c gateway/api_invite.c gateway/api_people.c gateway/api_prefs.c gateway/api_preview.c \
            gateway/api_recipe.c gateway/api_record.c gateway/api_download.c gateway/api_files.c gateway/api_upload.c gateway/api_volume.c gateway/fileop.c gateway/api_rules.c gateway/api_secret.c gateway/api_session.c gateway/api_share.c gateway/api_signin.c gateway/api_stream.c gateway/api_token.c gateway/api_vm.c \
            gateway/agent_tie.c gateway/askers.c gateway/attestation.c gateway/attach.c gateway/attach_control.c gateway/attach_hub.c gateway/cast.c gateway/disk_work.c gateway/disks.c gateway/doorman.c gateway/health.c gateway/http.c \
            gateway/identities.c gateway/invite_text.c gateway/journal.c gateway/listen.c gateway/machine.c gateway/machine_agent.c gateway/machine_aside.c gateway/machine_ask.c gateway/machine_disks.c \
            gateway/machine_card.c gateway/machine_hooks.c gateway/machine_life.c gateway/machine_plug.c gateway/machine_spare.c gateway/machine_tell.c \
            gateway/mailer.c gateway/metrics.c gateway/modes.c gateway/peer.c gateway/pool.c gateway/preview.c gateway/preview_head.c gateway/quota.c gateway/recipe.c gateway/recorder.c gateway/ring.c gateway/ring_dir.c \
            gateway/sched.c gateway/scribe.c gateway/secrets.c gateway/server.c gateway/settings.c gateway/setup.c gateway/sgr.c gateway/shell.c gateway/standby.c gateway/stream.c gateway/ticket.c gateway/tls.c \
            gateway/wire.c

# --- programs ----------------------------------------------------------------------------------------------------------
terrariumd_SRC      := gateway/main.c $(GATEWAY) $(AUTH) $(HV) $(AGENT_HOST) $(SNP) $(OUTGOING) $(BASE)
terrarium-netd_SRC  := netsetup/main.c $(NETSETUP) $(BASE)
terrarium_SRC       := gateway/ctl/main.c $(CTL) $(SNP) $(SEAL) $(VERITY) $(HOST) $(KCONFIG) $(LAUNCH) hv/agent/entry.c gateway/settings.c base/cli.c base/conf.c base/err.c base/fd.c base/hex.c \
                       base/buf.c base/httpc.c base/loop.c base/thread.c
terrarium-agent_SRC := hv/agent/guest.c $(AGENT_GUEST) $(SEAL) base/buf.c base/fd.c base/log.c base/loop.c

terrarium-verity_SRC := hv/verity/guest.c

PROGRAMS := terrariumd terrarium-netd terrarium terrarium-agent terrarium-verity

CTL_LIBS      := -lwebsockets -lmbedx509 -lmbedcrypto $(shell $(PKG_CONFIG) --libs jansson libcurl) -lev -linih -lpthread
GATEWAY_LIBS  := -lwebsockets -lmbedtls -lmbedx509 -lmbedcrypto $(shell $(PKG_CONFIG) --libs jansson sqlite3 libcurl libjwt) -lcsv -lev -linih -lpthread
AGENT_LIBS    := -lmbedcrypto -lev -lm
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

.PHONY: density image-all story-images story-qemu all verifier test test-all chaos large-file demo bench fuzz tidy unit memcheck node story fresh install install-image install-qemu clean image kernel qemu
.DELETE_ON_ERROR:
# Objects of tests stay, as all others do.
.SECONDARY:
all: $(PROGRAMS:%=$O/%)

$O/obj/%.o: %.c
	$(SAY) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(FLAGS) -c -o $@ $<

# --- the page, compiled in ---------------------------------------------------------------------------------------------
WEB_SRC := $(wildcard web/attest/*.js web/*.html web/parts/*.html web/*.css web/*.js web/*.mjs web/*.svg web/*.webmanifest web/i18n/*.json web/icons/*.png)
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

$O/terrarium-verity: $(terrarium-verity_SRC:%.c=$O/obj/%.o)
	$(SAY) LINK $@
	$(Q)$(CC) $(AGENT_LINK) $(LDFLAGS) -o $@ $^

# --- the guest images --------------------------------------------------------------------------------------------------
# KERNEL=small: also micro-small, the same with the small kernel.
KERNEL ?=
image: build/images/micro/manifest.json $(if $(filter small,$(KERNEL)),build/images/micro-small/manifest.json)
# With SAN=1 the programs are in another place, and none of them fits a guest.
GUEST_SRC := $(shell find deploy/guest -type f -not -path '*/kernel/*')
build/images/micro/manifest.json: $(GUEST_SRC) $(if $(filter 1,$(SAN)),,build/terrarium-agent)
	$(SAY) IMAGE micro
	$(Q)deploy/guest/build.sh
build/images/micro-small/manifest.json: $(GUEST_SRC) build/kernel/kernel.json $(if $(filter 1,$(SAN)),,build/terrarium-agent)
	$(SAY) IMAGE micro-small
	$(Q)deploy/guest/build.sh --name micro-small --kernel build/kernel

# The small kernel, of Debian's sources: ten minutes of a processor, once.
kernel: build/kernel/kernel.json
build/kernel/kernel.json: deploy/guest/kernel/build.sh deploy/guest/kernel/config
	$(SAY) KERNEL
	$(Q)deploy/guest/kernel/build.sh && touch $@

# The small QEMU, of Debian's sources: four minutes of a processor, once for each of Debian's versions.
qemu:
	$(SAY) QEMU
	$(Q)deploy/install-deps.sh qemu
	$(Q)deploy/qemu/build.sh

# Those with a root disk: minutes, and Debian's mirrors. A root that was made by the same recipe serves again (build/cache/roots).
TIERS := standard dev
image-all: image $(TIERS:%=build/images/%/manifest.json)
$(TIERS:%=build/images/%/manifest.json): build/images/%/manifest.json: $(GUEST_SRC) $(if $(filter 1,$(SAN)),,build/terrarium-agent build/terrarium-verity) | $O/terrarium
	$(SAY) IMAGE $*
	$(Q)deploy/install-deps.sh image
	$(Q)deploy/guest/build.sh --tier $*
build/images/dev/manifest.json: | build/images/standard/manifest.json

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
# A test build of the agent makes "reports" in software. It is never installed: what is installed is looked at.
install: all
	$(Q)! grep -q 'terrarium test build' $O/terrarium-agent || { echo "$O/terrarium-agent is a test build" >&2; exit 1; }
	$(SAY) INSTALL $(DESTDIR)$(PREFIX)
	$(Q)install -d $(addprefix $(DESTDIR),$(BINDIR) $(SBINDIR) $(LIBEXECDIR) $(DOCDIR) $(UNITDIR) $(SYSUSERSDIR) $(TMPFILESDIR) \
		$(SYSCONFDIR)/terrarium $(MANDIR)/man1 $(MANDIR)/man5 $(MANDIR)/man8)
	$(Q)install -m 755 $O/terrarium $(DESTDIR)$(BINDIR)
	$(Q)install -m 755 $O/terrariumd $O/terrarium-netd $(DESTDIR)$(SBINDIR)
	$(Q)install -m 755 deploy/vmnet.sh $O/terrarium-agent $O/terrarium-verity $(DESTDIR)$(LIBEXECDIR)
	$(Q)cp -R --no-preserve=ownership deploy/guest $(DESTDIR)$(LIBEXECDIR)/ && chmod -R go=u,go-w $(DESTDIR)$(LIBEXECDIR)/guest
	$(Q)install -m 644 $(wildcard docs/*.md) docs/openapi.yaml README.md LICENSE $(DESTDIR)$(DOCDIR)
	$(Q)for s in 1 5 8; do install -m 644 docs/*.$$s $(DESTDIR)$(MANDIR)/man$$s || exit 1; done
	$(Q)for u in $(UNITS); do sed $(FILL) deploy/systemd/$$u >$(DESTDIR)$(UNITDIR)/$$u || exit 1; done
	$(Q)install -m 644 deploy/systemd/sysusers.conf $(DESTDIR)$(SYSUSERSDIR)/terrarium.conf
	$(Q)install -m 644 deploy/systemd/tmpfiles.conf $(DESTDIR)$(TMPFILESDIR)/terrarium.conf
	$(Q)install -m 644 deploy/terrarium.conf.example $(DESTDIR)$(SYSCONFDIR)/terrarium
# For `binaries` in terrarium.conf(5).
install-qemu:
	$(Q)[ -x build/qemu/qemu-system-x86_64 ] || { echo "make qemu builds the small QEMU, and then this installs it" >&2; exit 1; }
	$(SAY) INSTALL $(DESTDIR)$(LIBEXECDIR)/qemu-system-x86_64
	$(Q)install -d $(DESTDIR)$(LIBEXECDIR)
	$(Q)install -m 755 build/qemu/qemu-system-x86_64 $(DESTDIR)$(LIBEXECDIR)
install-image: image
	$(SAY) INSTALL $(DESTDIR)$(STATEDIR)/images/micro
	$(Q)install -d $(DESTDIR)$(STATEDIR)/images/micro
	$(Q)install -m 644 $(addprefix build/images/micro/,vmlinux vmlinuz initrd manifest.json) $(DESTDIR)$(STATEDIR)/images/micro

# --- tests -------------------------------------------------------------------------------------------------------------
# Unit tests: tests/unit/test_X.c, cmocka, always with sanitizers; they link what they need out of one archive (a test may define
# stand-ins for functions of other files: those are then not pulled in).
UNIT := $(patsubst tests/unit/%.c,%,$(sort $(wildcard tests/unit/test_*.c)))
LIB_SRC := $(BASE) $(OUTGOING) $(NETSETUP) $(HV) $(sort $(AGENT_HOST) $(AGENT_GUEST)) $(AUTH) $(GATEWAY) $(SNP) $(VERITY) $(SEAL) $(HOST) $(KCONFIG) $(CTL)
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
FUZZ_SECONDS ?= 6
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
	$(Q)mkdir -p build && tests/tidy $(sort $(LIB_SRC) gateway/main.c gateway/ctl/main.c netsetup/main.c hv/agent/guest.c $(wildcard tests/unit/*.c))

# The same unit tests without sanitizers, under valgrind; of the objects that the programs are made of.
P := build/plain
$P/libterrarium.a: $(LIB_SRC:%.c=build/obj/%.o)
	$(Q)mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^
$P/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(STD) $(WARN) -O1 -g -c -o $@ $<
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
node: build/tests-web.stamp build/web.stamp build/tests/preamble build/tests/sealed_shell
	$(Q)tests/runner node $(sort $(wildcard tests/web/*.test.mjs))

# Drives hv/ without a gateway, for the stories about machines.
build/tests/hv_boot: $(patsubst %.c,build/obj/%.o,tests/run/hv_boot.c tests/run/hv_boot_agent.c $(HV) $(AGENT_HOST) $(SNP)) $(OUTGOING:%.c=build/obj/%.o) $(BASE:%.c=build/obj/%.o)
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^ -lmbedx509 -lmbedcrypto $(shell $(PKG_CONFIG) --libs jansson libcurl) -lev -linih -lpthread

# What the gateway would send to a browser that begins in the middle: for tests/web/preamble.test.mjs.
build/tests/preamble: build/obj/tests/run/preamble.o build/obj/gateway/modes.o build/obj/gateway/sgr.o
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^

# A sealed terminal without SNP, for tests of what comes after the report.
build/tests/sealed_shell: $(patsubst %.c,build/obj/%.o,tests/run/sealed_shell.c hv/agent/sealed.c hv/agent/sealed_pty.c $(SEAL) \
		base/buf.c base/fd.c base/hex.c base/log.c base/loop.c)
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^ -lmbedcrypto -lev

# The agent with reports in software, for stories about evidence on hosts without SEV-SNP. Nobody installs it.
AGENT_TEST := $(filter-out hv/agent/report.c,$(terrarium-agent_SRC)) hv/agent/report_test.c hv/snp/sha.c base/hex.c
build/tests/terrarium-agent-test: $(AGENT_TEST) $(wildcard hv/agent/*.h base/*.h hv/snp/*.h)
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=c17 -O1 -g $(WARN) -o $@ $(AGENT_TEST) -lmbedcrypto $(AGENT_LIBS)

# The program behind each terminal of tests/run/chaos.mjs.
build/tests/chaos_guest: build/obj/tests/run/chaos_guest.o
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^ -lmbedcrypto

# What stories about the helper are told with: a gateway in miniature, and a stand-in for a guest.
build/tests/netdc build/tests/tapwire build/tests/ch_front: build/tests/%: build/obj/tests/run/%.o $(BASE:%.c=build/obj/%.o)
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^ -lev -linih

# Numbered stories with real processes, namespaces, VMs and a browser. STORY=31 runs those whose name begins so.
STORY ?=
# Five hundred random operations on machines that misbehave; five minutes.
.PHONY: story-long
story-long: all image build/tests-web.stamp build/tests/hv_boot
	$(Q)COUNT=500 SEED=$${SEED:-$$$$} STORY_LIMIT=900 tests/runner story tests/run/28-cloud-hypervisor-at-random.sh

# A hundred people who come at once; CI lets a dozen come.
.PHONY: burst
burst: all image build/tests-web.stamp
	$(Q)BURST=$${BURST:-100} STORY_LIMIT=1800 tests/runner story tests/run/94-clones-refused.sh

# All tiers built twice and asked from inside, when something has changed that goes into them.
story-images: build/story-images.stamp
build/story-images.stamp: build/images/standard/manifest.json $(GUEST_SRC) $(wildcard tests/images/*) build/terrarium-agent build/terrarium-verity build/tests-web.stamp | all
	$(Q)deploy/install-deps.sh image
	$(Q)STORY_LIMIT=3600 tests/runner story tests/images/tiers.sh tests/images/packages.sh
	@touch $@

# What depends on QEMU, with the small one: minutes.
QEMU_STORIES := 23-fifty-cycles-leave-nothing 24-adopt 29-disks 29-plugged-disks 29-plugged-cards 32-vm-in-the-shell 37-guests-and-the-outside 54-root-disk \
                93-clones 94-clones-refused
story-qemu: qemu all image build/tests-web.stamp build/tests/netdc build/tests/tapwire
	$(Q)PATH="$(CURDIR)/build/qemu:$$PATH" tests/runner story $(QEMU_STORIES:%=tests/run/%.sh)

story: all image build/tests-web.stamp build/tests/netdc build/tests/tapwire build/tests/ch_front build/tests/hv_boot build/tests/terrarium-agent-test build/tests/chaos_guest
	$(Q)tests/runner story $(sort $(wildcard tests/run/$(STORY)*.sh))

# 10 GiB into a machine and out of it, over deaths of the gateway; needs 24 GiB in LARGE_DIR (/tmp).
large-file: all build/tests-web.stamp
	$(Q)MIB=$${MIB:-10240} tests/run/47-large-file.sh

# Everything goes wrong at once, for minutes: docs/chaos.md. CHAOS_SESSIONS, CHAOS_SECONDS and CHAOS_SEED reach it.
chaos: all build/tests/chaos_guest build/tests-web.stamp
	$(Q)CHAOS_SESSIONS=$${CHAOS_SESSIONS:-200} CHAOS_SECONDS=$${CHAOS_SECONDS:-240} CHAOS_RING=$${CHAOS_RING:-4M} tests/run/39-chaos.sh

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
BENCH_LOAD := tests/bench/load.c tests/bench/session.c tests/bench/sealed.c tests/bench/client.c tests/bench/usage.c $(SEAL) base/buf.c
build/bench/load: $(BENCH_LOAD:%.c=build/obj/%.o)
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^ $(shell $(PKG_CONFIG) --libs jansson) -lmbedcrypto -lpthread -lm
build/bench/child: build/obj/tests/bench/child.o
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^
# The agent that makes its reports in software, built as the real one is: what seals in a guest is measured, and not what a test build costs.
build/bench/agent: $(AGENT_TEST:%.c=build/obj/%.o)
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^ $(AGENT_LIBS)
BENCH_BARE := tests/bench/bare.c tests/bench/client.c tests/bench/usage.c
build/bench/bare: $(BENCH_BARE:%.c=build/obj/%.o)
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^ $(shell $(PKG_CONFIG) --libs jansson)
build/bench/awake: build/obj/tests/bench/awake.o
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^ -pthread
BENCH_SNP := tests/bench/snp.c hv/agent/report_test.c $(SNP) base/buf.c base/err.c base/fd.c base/hex.c base/httpc.c base/log.c base/loop.c base/thread.c
build/bench/snp: $(BENCH_SNP:%.c=build/obj/%.o)
	$(SAY) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $^ $(CTL_LIBS)
# N idle clones of the micro image (0: as many as the memory holds): what each costs.
N ?= 50
density: all image build/tests-web.stamp
	$(Q)$(NODE) tests/bench/starts.mjs density $(N)

bench: all build/bench/awake build/bench/load build/bench/child build/bench/agent build/bench/bare build/bench/snp build/tests-web.stamp
	$(Q)TTYD='$(TTYD)' QUICK=$(QUICK) $(NODE) tests/bench/bench.mjs; figures=$$?; $(NODE) tests/bench/page.mjs && exit $$figures

# Three levels of folders: base/, hv/snp/ or tests/unit/, and below each of the build's own.
-include $(foreach d,build/obj $S/obj $F/obj $P/obj,$(wildcard $d/*/*.d $d/*/*/*.d))

clean:
	$(Q)rm -rf build
