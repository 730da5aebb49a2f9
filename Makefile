# pg_warden. Two tools, each for what it is made for: the Swift package manager builds the library, PGXS installs the
# SQL files and drives pg_regress.
#
#   make                 build .build/release/libpg_warden.so
#   make install         put library, control file and SQL where the server of $(PG_CONFIG) looks for them
#   make demo            install what is missing, build, start a private cluster and show what pg_warden does
#   make test            everything: lint, units, server tests, pg_regress, isolation tests
#   make stress          the audit under random kills for STRESS_SECONDS (60), with full accounting
#   make property        random statements of a masked subject for PROPERTY_SECONDS (600), none of which tells a real value
#   make po              after a change of texts: the template of translations, and the catalogues beside it
#   make lint            formats, the wall's laws, exports
#   make headers-check   the shim against the headers of PostgreSQL 15, 17 and 18
#   make compat          PostgreSQL's own tests and the tools around it, beside a bare server (PG_SOURCE: its source)
#   make sqlsmith        QUERIES=50000 random statements against a governed database
#   make fuzz            the core with arbitrary input, SECONDS=600
#   make bench           pg_warden beside bare PostgreSQL, pg_stat_statements and pgaudit
#   make bench-details   by class of statement, the writer beside COPY, connections, memory
#   make bench-guards    ten thousand guards, a change of them, one decision
#   make bench-masks     each method, masked reads beside views written by hand, planning
#   make installcheck    pg_regress against a running server that has pg_warden preloaded
#
# WARDEN_DEBUG=1 builds with the checks that the tests run with.

PG_CONFIG ?= pg_config
SWIFT ?= swift
export PG_CONFIG WARDEN_DEBUG WARDEN_MEASURE

EXTENSION = pg_warden
DATA = $(wildcard sql/pg_warden--*.sql)
REGRESS = extension guard mask audit
REGRESS_OPTS = --inputdir=Tests/regress --outputdir=Tests/regress --load-extension=pg_warden
EXTRA_CLEAN = .build

LIBRARY = .build/release/libpg_warden.so

.DEFAULT_GOAL := build
.PHONY: build dependencies install-library uninstall-library demo test stress property lint headers-check bench bench-details bench-guards bench-masks \
	compat sqlsmith fuzz install-translations uninstall-translations po

# On a new machine PGXS is not there before `make dependencies`; the targets that need it call make anew.
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(wildcard $(PGXS)),)
include $(PGXS)
export PG_INCLUDEDIR_SERVER := $(shell $(PG_CONFIG) --includedir-server)
install: install-library install-translations
uninstall: uninstall-library uninstall-translations
endif

build: dependencies
	PG_INCLUDEDIR_SERVER="$$($(PG_CONFIG) --includedir-server)" $(SWIFT) build -c release --product pg_warden

dependencies:
	@ci/dependencies.sh

# A running server keeps the file that it has mapped: the new one takes its place by rename.
install-library: build
	mkdir -p '$(DESTDIR)$(pkglibdir)'
	install -m 755 $(LIBRARY) '$(DESTDIR)$(pkglibdir)/pg_warden.so.new'
	strip --strip-unneeded '$(DESTDIR)$(pkglibdir)/pg_warden.so.new'
	mv '$(DESTDIR)$(pkglibdir)/pg_warden.so.new' '$(DESTDIR)$(pkglibdir)/pg_warden.so'

uninstall-library:
	rm -f '$(DESTDIR)$(pkglibdir)/pg_warden.so'

# Where the server looks for its own catalogues, under the name that TEXTDOMAIN in compat.h has.
CATALOGUES = $(notdir $(basename $(wildcard po/*.po)))
CATALOGUE_NAME = pg_warden-$(MAJORVERSION).mo

install-translations:
	for language in $(CATALOGUES); do \
		mkdir -p "$(DESTDIR)$(localedir)/$$language/LC_MESSAGES" && \
		msgfmt --check -o "$(DESTDIR)$(localedir)/$$language/LC_MESSAGES/$(CATALOGUE_NAME)" po/$$language.po || exit 1; \
	done

uninstall-translations:
	for language in $(CATALOGUES); do rm -f "$(DESTDIR)$(localedir)/$$language/LC_MESSAGES/$(CATALOGUE_NAME)"; done

po:
	po/update.sh

demo: dependencies
	$(MAKE) install
	demo/run.sh

test: dependencies
	ci/test.sh

# Against the installed library.
stress:
	WARDEN_STRESS_SECONDS=$(or $(STRESS_SECONDS),60) $(SWIFT) test --filter 'ServerTests/AuditKillTests/stress'

# Against the installed library.
property:
	WARDEN_PROPERTY_SECONDS=$(or $(PROPERTY_SECONDS),600) $(SWIFT) test --filter 'ServerTests/MaskPropertyTests'

# With the checks of the wall; `make install` puts the plain library back.
compat: dependencies
	$(MAKE) install WARDEN_DEBUG=1
	ci/compat.sh

sqlsmith: dependencies
	$(MAKE) install WARDEN_DEBUG=1
	QUERIES=$(or $(QUERIES),50000) ci/sqlsmith.sh

fuzz:
	SECONDS_TO_RUN=$(or $(SECONDS),600) ci/fuzz.sh

lint: dependencies
	ci/lint.sh

headers-check:
	ci/headers-check.sh

bench: dependencies
	$(MAKE) install
	bench/run.sh

bench-details: dependencies
	$(MAKE) install
	bench/details.py

bench-guards: dependencies
	$(MAKE) install
	bench/guards.py

bench-masks: dependencies
	$(MAKE) install
	bench/masks.py
