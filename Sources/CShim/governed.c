/*
 * Is this database governed? The answer is cached per backend, and forgotten when any schema is created or dropped:
 * the extension cannot come or go without its schema. A database without it pays one comparison per statement.
 */
#include "shim.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/syscache.h"

typedef enum Governed
{
	GOVERNED_UNKNOWN,
	GOVERNED_NO,
	GOVERNED_YES
} Governed;

static Governed governed = GOVERNED_UNKNOWN;

WardenCatalog warden_catalog;
int			warden_internal_depth = 0;

static void
schema_changed(Datum arg, int cache, uint32 hash)
{
	(void) arg;
	(void) cache;
	(void) hash;
	governed = GOVERNED_UNKNOWN;
	/* schema.* patterns are bound to OIDs at load */
	warden_policy_stale = true;
}

static void
role_changed(Datum arg, int cache, uint32 hash)
{
	(void) arg;
	(void) cache;
	(void) hash;
	warden_session_dirty();
	warden_policy_stale = true;
	/* a member of another role, or a superuser, sees other masks */
	if (warden_any_masks)
		ResetPlanCache();
}

static void
relation_changed(Datum arg, Oid relid)
{
	(void) arg;
	warden_objects_invalidate(relid);
	if (relid == InvalidOid || relid == warden_catalog.secret_policy)
		warden_secret_stale();
	if (relid == InvalidOid || relid == warden_catalog.guard_policy || relid == warden_catalog.mask_policy ||
		relid == warden_catalog.exemption_policy || relid == warden_catalog.label_policy)
	{
		warden_policy_stale = true;
		/* a plan may hold the body of a function that is guarded now, or its value */
		ResetPlanCache();
	}
}

/*
 * The extension, where it is there and committed: in the transaction that creates it, it does not govern yet, since
 * the audit's writer could not see its tables.
 */
static Oid
committed_extension(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			oid = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("pg_warden"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		oid = ((Form_pg_extension) GETSTRUCT(tuple))->oid;
		/* one that governed before this transaction goes on: ALTER EXTENSION writes the row too */
		if (oid != warden_catalog.extension &&
			TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data)))
			oid = InvalidOid;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return oid;
}

static void
look(void)
{
	WardenCatalog found = {0};

	governed = GOVERNED_NO;
	found.schema = get_namespace_oid("warden", true);
	if (!OidIsValid(found.schema))
		return;
	found.extension = committed_extension();
	if (!OidIsValid(found.extension))
	{
		/* created in this transaction, or no pg_warden at all: the next transaction looks again */
		if (get_extension_oid("pg_warden", true) != InvalidOid)
			governed = GOVERNED_UNKNOWN;
		return;
	}
	found.views = get_namespace_oid("warden_views", true);
	found.guard_policy = get_relname_relid("guard_policy", found.schema);
	found.mask_policy = get_relname_relid("mask_policy", found.schema);
	found.exemption_policy = get_relname_relid("exemption_policy", found.schema);
	found.label_policy = get_relname_relid("label_policy", found.schema);
	found.secret_policy = get_relname_relid("secret_policy", found.schema);
	found.audit_chain = get_relname_relid("audit_chain", found.schema);
	found.audit_context = get_relname_relid("audit_context", found.schema);
	found.audit_shape = get_relname_relid("audit_shape", found.schema);
	found.audit_record = get_relname_relid("audit_record", found.schema);
	warden_catalog = found;
	warden_policy_stale = true;
	governed = GOVERNED_YES;
}

void
warden_governed_refresh(void)
{
	if (governed != GOVERNED_YES)
		look();
}

bool
warden_governed_known(void)
{
	return governed == GOVERNED_YES && warden_internal_depth == 0;
}

bool
warden_governed(void)
{
	warden_check_wall("warden_governed");
	if (governed == GOVERNED_NO || warden_internal_depth > 0)
		return false;
	if (!IsTransactionState() || !OidIsValid(MyDatabaseId) ||
		(creating_extension && CurrentExtensionObject == warden_catalog.extension))
		return false;
	if (governed == GOVERNED_UNKNOWN)
	{
		warden_internal_depth++;	/* catalog look-ups are ours */
		look();
		warden_internal_depth--;
		if (governed != GOVERNED_YES)
			return false;
	}
	if (warden_policy_stale)
		warden_policy_load();
	return true;
}

void
warden_governed_init(void)
{
	/* callbacks registered in the postmaster are inherited by every backend */
	CacheRegisterSyscacheCallback(NAMESPACEOID, schema_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, role_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, role_changed, (Datum) 0);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
}

static bool
own_role(Oid role)
{
	char	   *name = GetUserNameFromId(role, true);

	return name != NULL && (strcmp(name, "warden_admin") == 0 || strcmp(name, "warden_reviewer") == 0 ||
							strcmp(name, "warden_auditor") == 0);
}

bool
warden_is_own_object(Oid class_id, Oid object_id)
{
	switch (class_id)
	{
		case RelationRelationId:
			{
				Oid			schema = get_rel_namespace(object_id);

				return schema == warden_catalog.schema || schema == warden_catalog.views;
			}
		case NamespaceRelationId:
			return object_id == warden_catalog.schema || object_id == warden_catalog.views;
		case ExtensionRelationId:
			return object_id == warden_catalog.extension;
		case AuthIdRelationId:
			return own_role(object_id);
		case ProcedureRelationId:
			return get_func_namespace(object_id) == warden_catalog.schema;
		default:
			return false;
	}
}
