/*
 * The planner's statistics of masked columns: most common values, histograms, numbers of distinct values, widths.
 * Conditions of a masked subject compare masks, of which there are no statistics; but the planner groups, sorts and
 * sizes by the columns below, and EXPLAIN shows what it came to. For a session that sees a column's mask there are no
 * statistics of it, nor of what is computed from it, and no index that is sorted by it.
 */
#include "shim.h"

#include "access/genam.h"
#include "access/relation.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_statistic_ext.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

static get_relation_stats_hook_type previous_relation_stats = NULL;
static get_index_stats_hook_type previous_index_stats = NULL;
static get_attavgwidth_hook_type previous_width = NULL;
static get_relation_info_hook_type previous_info = NULL;

/* The columns of a relation that the session sees masked, as pull_varattnos gives columns; NULL: none. */
static Bitmapset *
masked_columns(Oid relid)
{
	bool		masked[MaxHeapAttributeNumber];
	WardenRelation *relation;
	Bitmapset  *columns = NULL;

	if (likely(!warden_any_masks) || !warden_governed_known())
		return NULL;
	relation = warden_relation(relid);
	if (relation == NULL || !relation->maskable || !warden_columns_masked(relation, masked))
		return NULL;
	for (int i = 0; i < relation->masked_count; i++)
		if (masked[i])
			columns = bms_add_member(columns, relation->masked[i] - FirstLowInvalidHeapAttributeNumber);
	return columns;
}

static bool
is_among(AttrNumber attno, const Bitmapset *columns)
{
	return bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, columns);
}

/* A whole row is all of its columns. */
static bool
computes_from(Node *expressions, const Bitmapset *columns)
{
	Bitmapset  *used = NULL;

	pull_varattnos(expressions, 1, &used);
	return is_among(0, used) || bms_overlap(used, columns);
}

/* Statistics of an index are those of its expressions; a partial index has seen some of the rows only. */
static bool
index_statistics_hidden(Oid index, AttrNumber attno)
{
	Oid			relid = IndexGetRelation(index, true);
	Bitmapset  *columns = OidIsValid(relid) ? masked_columns(relid) : NULL;
	Relation	rel;
	AttrNumber	key;
	bool		hidden;

	if (likely(columns == NULL))
		return false;
	rel = try_relation_open(index, AccessShareLock);
	if (rel == NULL)
		return true;
	key = attno >= 1 && attno <= rel->rd_index->indnatts ? rel->rd_index->indkey.values[attno - 1] : 0;
	hidden = key != 0 ? is_among(key, columns) : computes_from((Node *) RelationGetIndexExpressions(rel), columns);
	hidden = hidden || computes_from((Node *) RelationGetIndexPredicate(rel), columns);
	relation_close(rel, AccessShareLock);
	return hidden;
}

/* The audit holds statements: of its tables, and their indexes, nothing is told. */
static bool
is_own(Oid relid)
{
	WardenRelation *relation = warden_relation(relid);

	return relation != NULL && (relation->object.flags & WARDEN_OBJECT_OWN) && warden_anything_masked();
}

bool
warden_column_statistics_hidden(Oid relid, AttrNumber attno)
{
	char		relkind = get_rel_relkind(relid);

	if (is_own(relid))
		return true;
	if (relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX)
		return index_statistics_hidden(relid, attno);
	return is_among(attno, masked_columns(relid));
}

bool
warden_extended_statistics_hidden(Oid statistics)
{
	HeapTuple	tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(statistics));
	Form_pg_statistic_ext form;
	Bitmapset  *columns;
	bool		hidden;

	if (!HeapTupleIsValid(tuple))
		return true;
	form = (Form_pg_statistic_ext) GETSTRUCT(tuple);
	columns = masked_columns(form->stxrelid);
	/* which columns its expressions use is not worth the look: all of them, where any is masked */
	hidden = columns != NULL && !heap_attisnull(tuple, Anum_pg_statistic_ext_stxexprs, NULL);
	for (int i = 0; i < form->stxkeys.dim1 && !hidden; i++)
		hidden = is_among(form->stxkeys.values[i], columns);
	ReleaseSysCache(tuple);
	return hidden;
}

/* --- the planner's questions --- */

static bool
hide_column_statistics(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attno, VariableStatData *variable)
{
	if (rte->rtekind == RTE_RELATION && is_among(attno, masked_columns(rte->relid)))
	{
		variable->statsTuple = NULL;
		return true;
	}
	return previous_relation_stats != NULL && previous_relation_stats(root, rte, attno, variable);
}

static bool
hide_index_statistics(PlannerInfo *root, Oid index, AttrNumber attno, VariableStatData *variable)
{
	if (unlikely(warden_any_masks) && warden_governed_known() && index_statistics_hidden(index, attno))
	{
		variable->statsTuple = NULL;
		return true;
	}
	return previous_index_stats != NULL && previous_index_stats(root, index, attno, variable);
}

/* The width of a masked column is what its type says. */
static int32
hide_width(Oid relid, AttrNumber attno)
{
	Oid			type;
	int32		modifier;
	Oid			collation;

	if (is_among(attno, masked_columns(relid)))
	{
		get_atttypetypmodcoll(relid, attno, &type, &modifier, &collation);
		return get_typavgwidth(type, modifier);
	}
	return previous_width ? previous_width(relid, attno) : 0;
}

/* Is it sorted by real values first of all? */
static bool
sorts_by(const IndexOptInfo *index, const Bitmapset *columns)
{
	return index->indexkeys[0] != 0 ? is_among((AttrNumber) index->indexkeys[0], columns) :
		index->indexprs != NIL && computes_from(linitial(index->indexprs), columns);
}

/*
 * An index by a masked column answers no condition of a session that sees the mask, but a scan of it alone would return
 * masks in the order of the real values.
 */
static void
hide_from_planner(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel)
{
	Bitmapset  *columns = masked_columns(relid);
	ListCell   *cell;

	if (unlikely(columns != NULL))
	{
		foreach(cell, rel->statlist)
			if (warden_extended_statistics_hidden(((StatisticExtInfo *) lfirst(cell))->statOid))
				rel->statlist = foreach_delete_current(rel->statlist, cell);
		foreach(cell, rel->indexlist)
			if (sorts_by(lfirst(cell), columns))
				rel->indexlist = foreach_delete_current(rel->indexlist, cell);
	}
	if (previous_info)
		previous_info(root, relid, inhparent, rel);
}

void
warden_masked_statistics_install(void)
{
	previous_relation_stats = get_relation_stats_hook;
	get_relation_stats_hook = hide_column_statistics;
	previous_index_stats = get_index_stats_hook;
	get_index_stats_hook = hide_index_statistics;
	previous_width = get_attavgwidth_hook;
	get_attavgwidth_hook = hide_width;
	previous_info = get_relation_info_hook;
	get_relation_info_hook = hide_from_planner;
}
