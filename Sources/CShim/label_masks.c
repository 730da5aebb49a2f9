/*
 * Masks that labels give. A rule (warden.label_mask_policy) masks every column that carries a label of its pattern; what
 * that comes to is kept as rows of warden.mask_policy, with source 'label', so that reads know one kind of mask. Labels
 * spread between parents and children; the mask is made where all of them are read through: on the topmost table that has
 * the column.
 */
#include "label_masks.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mask_fit.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "warden_label_mask.h"

typedef struct Rule
{
	char	   *method;			/* NULL: by label, then by type */
	Jsonb	   *options;
} Rule;

/* A column that is to be masked. */
typedef struct Wanted
{
	Oid			relation;
	AttrNumber	column;
	char	   *name;
	WardenText *labels;
	int			label_count;
	int			rule;
} Wanted;

typedef struct Following
{
	Oid			relation;
	Rule	   *rules;
	WardenText *patterns;
	int			rule_count;
	List	   *family;			/* of OIDs */
	List	   *wanted;			/* of Wanted */
	List	   *changed;		/* of OIDs */
	bool		anything;		/* has changed */
} Following;

/* --- what is to be masked --- */

static void
read_rules(Following *following)
{
	int			count = warden_internal_sql("SELECT label, method, options FROM warden.label_mask_policy ORDER BY label",
											0, NULL, NULL, NULL);

	following->rule_count = count;
	following->rules = palloc0(sizeof(Rule) * (count + 1));
	following->patterns = palloc0(sizeof(WardenText) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		bool		isnull;

		following->patterns[i] = warden_text(SPI_getvalue(row, SPI_tuptable->tupdesc, 1));
		following->rules[i].method = SPI_getvalue(row, SPI_tuptable->tupdesc, 2);
		following->rules[i].options = DatumGetJsonbPCopy(SPI_getbinval(row, SPI_tuptable->tupdesc, 3, &isnull));
	}
}

static bool
can_be_masked(Oid relid)
{
	char		kind = get_rel_relkind(relid);

	return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE || kind == RELKIND_MATVIEW ||
		kind == RELKIND_FOREIGN_TABLE;
}

static bool
is_masked_by_label(Oid relid)
{
	for (int i = 0; i < warden_mask_count; i++)
		if (warden_masks[i].relation == relid && warden_masks[i].by_label)
			return true;
	return false;
}

/*
 * The tables whose columns are read through each other. Partitions have no columns but their parents': they are left out,
 * except for the table that is followed, and for one that was attached with a mask of its own.
 */
static List *
family_of(Oid relid)
{
	List	   *tops = list_make1_oid(relid);
	List	   *family = list_make1_oid(relid);
	List	   *above = warden_ancestors(relid, InvalidOid, NULL);
	ListCell   *cell;
	ListCell   *below;

	foreach(cell, above)
		if (warden_ancestors(lfirst_oid(cell), InvalidOid, NULL) == NIL)
			tops = lappend_oid(tops, lfirst_oid(cell));
	foreach(cell, tops)
		foreach(below, find_all_inheritors(lfirst_oid(cell), NoLock, NULL))
			if (!get_rel_relispartition(lfirst_oid(below)) || is_masked_by_label(lfirst_oid(below)))
				family = list_append_unique_oid(family, lfirst_oid(below));
	return family;
}

static bool
is_inherited(const WardenRelation *relation, const char *column)
{
	for (int64_t i = 0; i < relation->object.ancestor_count; i++)
		if (get_attnum(relation->object.ancestors[i], column) > 0)
			return true;
	return false;
}

/* What a column carries, copied: facts do not last. */
static void
want_column(Following *following, const WardenRelation *relation, AttrNumber column)
{
	Wanted	   *wanted = palloc0(sizeof(Wanted));
	int64_t		rule;

	wanted->labels = palloc0(sizeof(WardenText) * relation->object.label_count);
	for (int64_t i = 0; i < relation->object.label_count; i++)
		if (relation->object.labels[i].column == column)
			wanted->labels[wanted->label_count++] = warden_text(warden_cstring(relation->object.labels[i].label));
	if (wanted->label_count == 0)
		return;
	SWIFT_GET(rule, warden_label_mask_rule(wanted->labels, wanted->label_count, following->patterns,
										   following->rule_count));
	wanted->name = warden_cstring(relation->object.columns[column - 1]);
	if (rule < 0 || is_inherited(relation, wanted->name))
		return;
	wanted->relation = relation->oid;
	wanted->column = column;
	wanted->rule = (int) rule;
	following->wanted = lappend(following->wanted, wanted);
}

static void
find_wanted(Following *following)
{
	ListCell   *cell;

	foreach(cell, following->family)
	{
		WardenRelation *relation = can_be_masked(lfirst_oid(cell)) ? warden_relation(lfirst_oid(cell)) : NULL;

		if (relation == NULL || relation->object.label_count == 0 || (relation->object.flags & WARDEN_OBJECT_TEMPORARY))
			continue;
		for (int column = 1; column <= relation->object.column_count; column++)
			if (relation->object.columns[column - 1].length > 0)
				want_column(following, relation, (AttrNumber) column);
	}
}

/* --- making it so --- */

static void
changes(Following *following, Oid relid)
{
	/* columns do not change while their mask is being made */
	if (!list_member_oid(following->changed, relid))
		LockRelationOid(relid, ShareUpdateExclusiveLock);
	following->anything = true;
	following->changed = list_append_unique_oid(following->changed, relid);
}

static Datum
names_wanted(const Following *following, Oid relid)
{
	Datum	   *names = palloc(sizeof(Datum) * (list_length(following->wanted) + 1));
	ListCell   *cell;
	int			count = 0;

	foreach(cell, following->wanted)
	{
		const Wanted *wanted = lfirst(cell);

		if (wanted->relation == relid)
			names[count++] = CStringGetTextDatum(wanted->name);
	}
	return PointerGetDatum(construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT));
}

static void
remove_unwanted(Following *following)
{
	ListCell   *cell;

	foreach(cell, following->family)
	{
		Oid			types[2] = {OIDOID, TEXTARRAYOID};
		Datum		values[2] = {ObjectIdGetDatum(lfirst_oid(cell)), names_wanted(following, lfirst_oid(cell))};

		if (warden_internal_sql("DELETE FROM warden.mask_policy WHERE relation = $1 AND source = 'label' "
								"AND column_name::text <> ALL ($2)", 2, types, values, NULL) > 0)
			changes(following, lfirst_oid(cell));
	}
}

/* A column that is masked by its own name, or as the copy of a masked one, keeps that mask. */
static bool
is_masked_otherwise(const Wanted *wanted)
{
	Oid			types[2] = {OIDOID, NAMEOID};
	Datum		values[2] = {ObjectIdGetDatum(wanted->relation), DirectFunctionCall1(namein, CStringGetDatum(wanted->name))};

	return warden_internal_sql("SELECT FROM warden.mask_policy WHERE relation = $1 AND column_name = $2 "
							   "AND source <> 'label'", 2, types, values, NULL) > 0;
}

static bool
store(const Wanted *wanted, const WardenFittedMask *mask, WardenText pattern)
{
	Oid			types[7] = {OIDOID, INT2OID, NAMEOID, TEXTOID, JSONBOID, TEXTOID, TEXTOID};
	Datum		values[7] = {ObjectIdGetDatum(wanted->relation), Int16GetDatum(wanted->column),
		DirectFunctionCall1(namein, CStringGetDatum(wanted->name)), CStringGetTextDatum(mask->method),
		JsonbPGetDatum(mask->options), CStringGetTextDatum(mask->expression),
	CStringGetTextDatum(warden_cstring(pattern))};

	return warden_internal_sql("INSERT INTO warden.mask_policy AS p (relation, attnum, column_name, method, options, "
							   "expression, source, label, made_for) VALUES ($1, $2, $3, $4, $5, $6, 'label', $7, $1) "
							   "ON CONFLICT (relation, column_name) DO UPDATE SET attnum = excluded.attnum, "
							   "method = excluded.method, options = excluded.options, expression = excluded.expression, "
							   "label = excluded.label, made_for = excluded.made_for "
							   "WHERE (p.attnum, p.method, p.options, p.expression, p.label, p.made_for) IS DISTINCT FROM "
							   "(excluded.attnum, excluded.method, excluded.options, excluded.expression, excluded.label, "
							   "excluded.made_for)", 7, types, values, NULL) > 0;
}

static void
mask_wanted(Following *following, const Wanted *wanted)
{
	const Rule *rule = &following->rules[wanted->rule];
	WardenFittedMask mask = rule->method == NULL ?
		warden_fit_labels(wanted->relation, wanted->column, wanted->labels, wanted->label_count) :
		warden_fit_mask(wanted->relation, wanted->column, rule->method, rule->options, true);

	if (!store(wanted, &mask, following->patterns[wanted->rule]))
		return;
	changes(following, wanted->relation);
	if (mask.problem != NULL)
		ereport(NOTICE,
				(errmsg("column \"%s\" of \"%s\" is masked by method %s", wanted->name, get_rel_name(wanted->relation),
						mask.method),
				 errdetail("Method %s of its label does not fit it: %s.", rule->method, mask.problem)));
}

static void
follow(void *arg)
{
	Following  *following = arg;
	ListCell   *cell;

	read_rules(following);
	following->family = family_of(following->relation);
	if (following->rule_count > 0)
		find_wanted(following);
	remove_unwanted(following);
	foreach(cell, following->wanted)
		if (!is_masked_otherwise(lfirst(cell)))
			mask_wanted(following, lfirst(cell));
	foreach(cell, following->changed)
		warden_mask_view_build(lfirst_oid(cell));
}

void
warden_masks_follow_labels(Oid relid)
{
	Following	following = {.relation = relid};

	if (get_rel_name(relid) == NULL)
		return;
	/* the labels as they are now */
	if (warden_policy_stale)
		warden_policy_load();
	warden_internal_run(follow, &following);
	if (!following.anything)
		return;
	CacheInvalidateRelcacheByRelid(warden_catalog.mask_policy);
	CommandCounterIncrement();
}

/* --- when to --- */

typedef struct Relations
{
	List	   *oids;
	MemoryContext memory;
} Relations;

static void
find_labelled(void *arg)
{
	Relations  *relations = arg;
	int			count = warden_internal_sql("SELECT relation::oid FROM warden.label_policy UNION "
											"SELECT relation::oid FROM warden.mask_policy WHERE source = 'label' ORDER BY 1",
											0, NULL, NULL, NULL);
	MemoryContext caller = MemoryContextSwitchTo(relations->memory);

	for (int i = 0; i < count; i++)
	{
		bool		isnull;

		relations->oids = lappend_oid(relations->oids,
									  DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1,
																	 &isnull)));
	}
	MemoryContextSwitchTo(caller);
}

void
warden_masks_follow_rules(void)
{
	Relations	relations = {NIL, CurrentMemoryContext};
	ListCell   *cell;

	warden_internal_run(find_labelled, &relations);
	foreach(cell, relations.oids)
		warden_masks_follow_labels(lfirst_oid(cell));
}

static void
follow_named(const RangeVar *name)
{
	Oid			relid = name != NULL ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;

	if (OidIsValid(relid))
		warden_masks_follow_labels(relid);
}

/* What changes columns, their names and types, or who inherits from whom. */
static void
follow_alter(AlterTableStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *command = lfirst(cell);

		switch (command->subtype)
		{
			case AT_DetachPartition:
			case AT_DetachPartitionFinalize:
				follow_named(((PartitionCmd *) command->def)->name);
				follow_named(stmt->relation);
				break;
			case AT_DropInherit:
				follow_named((RangeVar *) command->def);
				follow_named(stmt->relation);
				break;
			case AT_AddColumn:
			case AT_DropColumn:
			case AT_AlterColumnType:
			case AT_AttachPartition:
			case AT_AddInherit:
				follow_named(stmt->relation);
				break;
			default:
				break;
		}
	}
}

void
warden_masks_follow_utility(Node *utility)
{
	if (!warden_any_labels)
		return;
	if (IsA(utility, AlterTableStmt))
		follow_alter((AlterTableStmt *) utility);
	else if (IsA(utility, RenameStmt))
		follow_named(((RenameStmt *) utility)->relation);
	else if (IsA(utility, CreateStmt) && ((CreateStmt *) utility)->inhRelations != NIL)
		follow_named(((CreateStmt *) utility)->relation);
}
