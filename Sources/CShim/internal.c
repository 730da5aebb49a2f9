/*
 * The extension's own SQL: as the extension's owner, with a search path that nobody can hijack, neither governed nor
 * recorded.
 */
#include "shim.h"

#include "catalog/pg_authid.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/guc.h"

void
warden_internal_run(void (*work) (void *arg), void *arg)
{
	int			depth = warden_internal_depth;
	bool		creating = creating_extension;
	Oid			extension = CurrentExtensionObject;
	Oid			user;
	int			security;
	int			guc_level = NewGUCNestLevel();

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, security | SECURITY_LOCAL_USERID_CHANGE);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	warden_internal_depth = depth + 1;
	PG_TRY();
	{
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "pg_warden: SPI is not available");
		work(arg);
		SPI_finish();
	}
	PG_FINALLY();
	{
		/* user, settings and SPI are put back by the end of the (sub)transaction where this is an error */
		warden_internal_depth = depth;
		creating_extension = creating;
		CurrentExtensionObject = extension;
	}
	PG_END_TRY();
	AtEOXact_GUC(false, guc_level);
	SetUserIdAndSecContext(user, security);
}

int
warden_internal_sql(const char *sql, int nargs, Oid *types, Datum *values, const char *nulls)
{
	int			result = SPI_execute_with_args(sql, nargs, types, values, nulls, false, 0);

	if (result < 0)
		elog(ERROR, "pg_warden: %s: %s", SPI_result_code_string(result), sql);
	return (int) SPI_processed;
}

void
warden_members_from_here(void)
{
	creating_extension = true;
	CurrentExtensionObject = warden_catalog.extension;
}
