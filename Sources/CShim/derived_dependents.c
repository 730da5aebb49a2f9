/*
 * What the server itself computes of a relation's columns and keeps: generated columns of the same relation, and
 * materialized views over it, through whatever views. They follow when its labels or masks change: what they hold was
 * made before, or will be made by whoever refreshes it.
 */
#include "lineage.h"

#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rewriteHandler.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* --- generated columns --- */

static List *
generated_columns(Oid relid)
{
	Relation	relation = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(relation);
	List	   *inflows = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		WardenInflow *inflow;

		if (attribute->attisdropped || attribute->attgenerated == '\0')
			continue;
		inflow = palloc(sizeof(WardenInflow));
		inflow->target = relid;
		inflow->column = attribute->attnum;
		inflow->origins = warden_origins_of_expression(build_column_default(relation, attribute->attnum), relid);
		inflows = lappend(inflows, inflow);
	}
	table_close(relation, NoLock);
	return inflows;
}

/* --- materialized views --- */

typedef struct Search
{
	Oid			relation;
	MemoryContext memory;
	List	   *found;			/* OIDs */
} Search;

/* Views over the relation, or over such a view; of children too, whose columns are those of their parents. */
static void
search_views(void *arg)
{
	Search	   *search = arg;
	Oid			types[1] = {OIDOID};
	Datum		values[1] = {ObjectIdGetDatum(search->relation)};
	bool		isnull;
	MemoryContext caller;

	warden_internal_sql("WITH RECURSIVE kin AS (SELECT $1 AS oid UNION "
						"SELECT i.inhrelid FROM pg_inherits i JOIN kin ON kin.oid = i.inhparent), "
						"over AS (SELECT oid FROM kin UNION SELECT r.ev_class FROM over "
						"JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = over.oid "
						"AND d.classid = 'pg_rewrite'::regclass JOIN pg_rewrite r ON r.oid = d.objid) "
						"SELECT over.oid FROM over JOIN pg_class c ON c.oid = over.oid "
						"WHERE c.relkind = 'm' AND c.oid <> $1 ORDER BY 1", 1, types, values, NULL);
	caller = MemoryContextSwitchTo(search->memory);
	for (uint64 i = 0; i < SPI_processed; i++)
		search->found = lappend_oid(search->found, DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i],
																				 SPI_tuptable->tupdesc, 1, &isnull)));
	MemoryContextSwitchTo(caller);
}

/* What its query puts into it, whoever refreshes it. */
static List *
materialized_columns(Oid view)
{
	Relation	relation = table_open(view, AccessShareLock);
	List	   *inflows = NIL;
	ListCell   *cell;
	Query	   *query;

	if (relation->rd_rules != NULL && relation->rd_rules->numLocks == 1)
	{
		query = copyObject(linitial_node(Query, relation->rd_rules->rules[0]->actions));
		AcquireRewriteLocks(query, true, false);
		foreach(cell, QueryRewrite(query))
			inflows = list_concat(inflows, warden_inflows_of_result(lfirst(cell), WARDEN_LINEAGE_ANYBODY));
	}
	foreach(cell, inflows)
		((WardenInflow *) lfirst(cell))->target = view;
	table_close(relation, NoLock);
	return inflows;
}

void
warden_derive_dependents(Oid relid)
{
	Search		search = {.relation = relid, .memory = CurrentMemoryContext};
	char		kind = get_rel_relkind(relid);
	ListCell   *cell;

	check_stack_depth();
	if (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE || kind == RELKIND_FOREIGN_TABLE)
		warden_derive(generated_columns(relid));
	warden_internal_run(search_views, &search);
	foreach(cell, search.found)
		warden_derive(materialized_columns(lfirst_oid(cell)));
}
