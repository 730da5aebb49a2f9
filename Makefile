# pg_warden. Two tools, each for what it is made for: the Swift package manager builds the library, PGXS installs it
# with its SQL files and drives pg_regress.
#
#   make            build .build/<configuration>/libpg_warden.so
#   make install    put library, control file and SQL where the server of $(PG_CONFIG) looks for them
#   make demo       install what is missing, build, start a private cluster and show what pg_warden does
#   make test       everything: lint, units, server tests, pg_regress, isolation tests
#   make lint       formats, the wall's laws, exports
#   make headers-check   the shim against the headers of PostgreSQL 15, 17 and 18
#   make bench      pg_warden beside bare PostgreSQL, pg_stat_statements and pgaudit

PG_CONFIG ?= pg_config
SWIFT ?= swift
# release is what runs on servers; WARDEN_DEBUG=1 adds the checks that tests run with
CONFIGURATION = release
export WARDEN_DEBUG

EXTENSION = pg_warden
DATA = $(wildcard sql/pg_warden--*.sql)
DOCS =
LIBRARY = .build/$(CONFIGURATION)/libpg_warden.so

.DEFAULT_GOAL := build
.PHONY: build install uninstall clean dependencies demo demo-stop test lint headers-check bench FORCE

# Targets that only call scripts must work before PostgreSQL's headers are there.
ifneq ($(shell command -v $(PG_CONFIG) 2>/dev/null),)
export PG_INCLUDEDIR_SERVER := $(shell $(PG_CONFIG) --includedir-server)
PGLIB := $(shell $(PG_CONFIG) --pkglibdir)
PGSHARE := $(shell $(PG_CONFIG) --sharedir)
endif

build: dependencies
	$(SWIFT) build -c $(CONFIGURATION) --product pg_warden

dependencies:
	@PG_CONFIG='$(PG_CONFIG)' ci/dependencies.sh

# Not PGXS's own install: the library is not built by it. A running server keeps the file it has mapped: the new one
# takes its place by rename.
install: build
	install -d '$(DESTDIR)$(shell $(PG_CONFIG) --pkglibdir)' '$(DESTDIR)$(shell $(PG_CONFIG) --sharedir)/extension'
	install -m 755 $(LIBRARY) '$(DESTDIR)$(shell $(PG_CONFIG) --pkglibdir)/pg_warden.so.new'
	strip --strip-unneeded '$(DESTDIR)$(shell $(PG_CONFIG) --pkglibdir)/pg_warden.so.new'
	mv '$(DESTDIR)$(shell $(PG_CONFIG) --pkglibdir)/pg_warden.so.new' '$(DESTDIR)$(shell $(PG_CONFIG) --pkglibdir)/pg_warden.so'
	install -m 644 pg_warden.control $(DATA) '$(DESTDIR)$(shell $(PG_CONFIG) --sharedir)/extension/'

uninstall:
	rm -f '$(DESTDIR)$(shell $(PG_CONFIG) --pkglibdir)/pg_warden.so'
	rm -f '$(DESTDIR)$(shell $(PG_CONFIG) --sharedir)'/extension/pg_warden.control
	rm -f '$(DESTDIR)$(shell $(PG_CONFIG) --sharedir)'/extension/pg_warden--*.sql

clean:
	rm -rf .build

demo: install
	PG_CONFIG='$(PG_CONFIG)' demo/run.sh

demo-stop:
	demo/stop.sh

test: dependencies
	PG_CONFIG='$(PG_CONFIG)' ci/test.sh

lint: dependencies
	PG_CONFIG='$(PG_CONFIG)' ci/lint.sh

headers-check:
	PG_CONFIG='$(PG_CONFIG)' ci/headers-check.sh

bench: install
	PG_CONFIG='$(PG_CONFIG)' bench/run.sh
