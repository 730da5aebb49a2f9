/*
 * pg_warden: governance inside PostgreSQL. This file is the table of contents; docs/architecture.md tells the life
 * of a statement through the files named here.
 */
#include "shim.h"

#include "miscadmin.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	/*
	 * Hooks and shared memory must be in place before the first session. Loaded later (CREATE EXTENSION without
	 * preloading), the library stays inert: its functions say what to do.
	 */
	if (!process_shared_preload_libraries_in_progress)
		return;

	warden_translations_bind();
	warden_settings_define();
	/* pg_upgrade moves what is there: nothing of it is to be governed, recorded, or locked by a worker */
	if (IsBinaryUpgrade)
		return;
	warden_governed_init();
	warden_function_init();
	warden_spool_install();
	warden_loopback_install();
	warden_writer_register();
	warden_audit_install();
	warden_masking_install();
	warden_masked_plans_install();
	warden_masked_errors_install();
	warden_masked_statistics_install();
	warden_running_install();
	warden_executor_install();
	warden_utility_install();
	warden_access_install();
	warden_wire_install();
	warden_warm_up();
}
