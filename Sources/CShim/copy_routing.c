/*
 * COPY FROM a partitioned table writes to partitions that nothing names: no hook sees its executor state. It locks
 * those it opens, and counts what it writes; so after it the partitions are those that are locked for writing and
 * have counted more rows than before; where nobody counts, all those that are locked.
 */
#include "shim.h"

#include "access/sysattr.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "nodes/value.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/relcache.h"

typedef struct Counted
{
	Oid			relid;
	int64		rows;
} Counted;

/* Rows inserted by this transaction, as the statistics will count them; below 0 where nobody counts (track_counts). */
static int64
rows_inserted(Oid relid)
{
	Relation	relation = RelationIdGetRelation(relid);
	int64		rows = 0;

	if (relation == NULL)
		return 0;
	if (!relation->pgstat_enabled)
		rows = -1;
	else if (relation->pgstat_info != NULL)
		for (PgStat_TableXactStatus *level = relation->pgstat_info->trans; level != NULL; level = level->upper)
			rows += level->tuples_inserted;
	RelationClose(relation);
	return rows;
}

/* The leaves that this transaction has locked for writing: others need not be opened, and must not be. */
static List *
leaves_locked(Oid parent)
{
	List	   *leaves = NIL;
	ListCell   *cell;

	foreach(cell, find_all_inheritors(parent, NoLock, NULL))
	{
		Oid			relid = lfirst_oid(cell);
		LOCKTAG		tag;

		SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
		if (relid != parent && WARDEN_LOCK_HELD(&tag, RowExclusiveLock) &&
			get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
			leaves = lappend_oid(leaves, relid);
	}
	return leaves;
}

static Oid
partitioned_target(CopyStmt *stmt)
{
	Oid			relid;

	if (!stmt->is_from || stmt->relation == NULL)
		return InvalidOid;
	relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	return OidIsValid(relid) && get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ? relid : InvalidOid;
}

List *
warden_copy_routing_before(CopyStmt *stmt)
{
	Oid			parent = partitioned_target(stmt);
	List	   *before = NIL;
	ListCell   *cell;

	if (!OidIsValid(parent))
		return NIL;
	foreach(cell, leaves_locked(parent))
	{
		Counted    *counted = palloc(sizeof(Counted));

		counted->relid = lfirst_oid(cell);
		counted->rows = rows_inserted(counted->relid);
		before = lappend(before, counted);
	}
	return before;
}

/* Those that COPY names, as permissions have them; the whole row where it names none. */
static Bitmapset *
columns_named(CopyStmt *stmt, Oid parent)
{
	Bitmapset  *columns = NULL;
	ListCell   *cell;

	foreach(cell, stmt->attlist)
		columns = bms_add_member(columns, get_attnum(parent, strVal(lfirst(cell))) - FirstLowInvalidHeapAttributeNumber);
	return columns ? columns : bms_make_singleton(InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber);
}

void
warden_copy_routing_after(CopyStmt *stmt, List *before)
{
	Oid			parent = partitioned_target(stmt);
	ListCell   *leaf;
	ListCell   *cell;

	if (!OidIsValid(parent))
		return;
	foreach(leaf, leaves_locked(parent))
	{
		int64		rows = 0;
		int64		now = rows_inserted(lfirst_oid(leaf));

		foreach(cell, before)
			if (((Counted *) lfirst(cell))->relid == lfirst_oid(leaf))
				rows = ((Counted *) lfirst(cell))->rows;
		if (now >= 0 && now <= rows)
			continue;
		warden_reached_object(RelationRelationId, lfirst_oid(leaf), 0, WARDEN_CLASS_INSERT);
		warden_partition_written(parent, lfirst_oid(leaf), columns_named(stmt, parent),
								 WARDEN_CLASS_INSERT | WARDEN_CLASS_COPY_IN);
	}
}
