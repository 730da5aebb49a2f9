/*
 * Copies inherit: a column that real values of others arrive in gets their labels, source "derived", and a mask, before
 * anybody else can read it: in the transaction that writes the values. Which mask it is Swift decides.
 */
#include "lineage.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mask_fit.h"
#include "mask_rows.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "sql.h"
#include "storage/lmgr.h"
#include "utils/inval.h"

/* A masked column whose values arrive. */
typedef struct Source
{
	WardenMaskEntry mask;		/* its own, or the one that it has through an ancestor */
	WardenFlow	flow;
} Source;

typedef struct Derivation
{
	Oid			relation;		/* the topmost one: a mask holds for its children */
	AttrNumber	column;
	List	   *labels;			/* those that it does not carry yet; strings */
	List	   *sources;		/* NIL: it is masked, or need not be */
	StringInfoData from;		/* for the record */
	char		method[NAMEDATALEN];	/* what it has been masked by; empty: it has not */
} Derivation;

/* --- what is missing --- */

static bool
has_mask(const WardenRelation *relation, AttrNumber column)
{
	for (int i = 0; i < relation->masked_count; i++)
		if (relation->masked[i] == column)
			return true;
	return false;
}

static bool
has_label(const WardenRelation *relation, AttrNumber column, const char *label)
{
	for (int64_t i = 0; i < relation->object.label_count; i++)
		if (relation->object.labels[i].column == column &&
			strcmp((const char *) relation->object.labels[i].label.bytes, label) == 0)
			return true;
	return false;
}

static List *
labels_of(const WardenRelation *relation, AttrNumber column)
{
	List	   *labels = NIL;

	for (int64_t i = 0; i < relation->object.label_count; i++)
		if (relation->object.labels[i].column == column)
			labels = lappend(labels, warden_cstring(relation->object.labels[i].label));
	return labels;
}

static void
tell_source(Derivation *derivation, const WardenRelation *source, AttrNumber column)
{
	appendStringInfo(&derivation->from, "%s%s.%s", derivation->from.len > 0 ? ", " : "",
					 (const char *) source->object.name.bytes,
					 quote_identifier((const char *) source->object.columns[column - 1].bytes));
}

static void
add_source(Derivation *derivation, const WardenOrigin *origin, Oid target, AttrNumber column)
{
	WardenRelation *from = warden_relation(origin->relation);
	WardenRelation *to;
	bool		masked;
	List	   *labels;
	ListCell   *cell;
	Source	   *source;

	if (from == NULL || origin->column < 1 || origin->column > from->object.column_count)
		return;
	tell_source(derivation, from, (AttrNumber) origin->column);
	labels = labels_of(from, (AttrNumber) origin->column);
	masked = has_mask(from, (AttrNumber) origin->column);
	to = warden_relation(target);
	foreach(cell, labels)
		if (to != NULL && !has_label(to, column, lfirst(cell)))
			derivation->labels = list_append_unique(derivation->labels, makeString(lfirst(cell)));
	if (to == NULL || !masked || has_mask(to, column))
		return;
	source = palloc0(sizeof(Source));
	source->flow = origin->flow;
	source->mask = warden_mask_of_column(origin->relation, (AttrNumber) origin->column);
	derivation->sources = lappend(derivation->sources, source);
}

/* What can be read by its own session alone needs nothing; nor do policies and catalogs, which hold no such values. */
static bool
is_readable_by_others(const WardenRelation *relation)
{
	return (relation->object.flags & (WARDEN_OBJECT_TEMPORARY | WARDEN_OBJECT_CATALOG | WARDEN_OBJECT_OWN)) == 0;
}

/* The same column of the topmost relation. */
static void
find_place(Derivation *derivation, const WardenInflow *inflow)
{
	Oid			topmost = warden_topmost(inflow->target);
	char	   *name = OidIsValid(topmost) ? warden_column_name(inflow->target, inflow->column) : NULL;

	derivation->relation = inflow->target;
	derivation->column = inflow->column;
	if (name == NULL || get_attnum(topmost, name) <= 0)
		return;
	derivation->relation = topmost;
	derivation->column = get_attnum(topmost, name);
}

/* True where there is anything to be done. */
static bool
find_missing(Derivation *derivation, const WardenInflow *inflow)
{
	WardenRelation *target = warden_relation(inflow->target);
	ListCell   *cell;

	*derivation = (Derivation) {0};
	if (target == NULL || !is_readable_by_others(target))
		return false;
	initStringInfo(&derivation->from);
	foreach(cell, inflow->origins)
	{
		WardenOrigin *origin = lfirst(cell);

		if (OidIsValid(origin->relation) && (origin->relation != inflow->target || origin->column != inflow->column))
			add_source(derivation, origin, inflow->target, inflow->column);
	}
	if (derivation->labels == NIL && derivation->sources == NIL)
		return false;
	find_place(derivation, inflow);
	return true;
}

/* A view is written through its trigger, which may put the values anywhere. */
static void
refuse_view(const Derivation *derivation)
{
	if (derivation->sources == NIL || get_rel_relkind(derivation->relation) != RELKIND_VIEW)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("real values of masked columns cannot be written to view \"%s\"", get_rel_name(derivation->relation)),
			 errdetail("They come from %s; where the view's trigger puts them, no mask would follow.",
					   derivation->from.data),
			 errhint("Write them to the table itself: its columns are masked then.")));
}

/* --- the mask --- */

typedef struct Mask
{
	char	   *method;			/* NULL: by type */
	Jsonb	   *options;
} Mask;

/* As the source is masked, from its policy. */
static bool
mask_in_policy(const WardenMaskEntry *entry, Mask *mask)
{
	char	   *column = warden_column_name(entry->relation, entry->column);
	Oid			types[2] = {OIDOID, TEXTOID};
	Datum		values[2] = {ObjectIdGetDatum(entry->relation)};
	bool		isnull;
	HeapTuple	row;

	if (column == NULL)
		return false;
	values[1] = CStringGetTextDatum(column);
	if (warden_internal_sql("SELECT method, options FROM warden.mask_policy WHERE relation = $1 AND column_name = $2::name",
							2, types, values, NULL) != 1)
		return false;
	row = SPI_tuptable->vals[0];
	mask->method = SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
	mask->options = DatumGetJsonbPCopy(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull));
	return true;
}

/* Swift's choice among the masks of the sources. */
static Mask
choose_mask(List *sources)
{
	WardenDerivedSource *facts = palloc0(sizeof(WardenDerivedSource) * list_length(sources));
	Mask	   *masks = palloc0(sizeof(Mask) * list_length(sources));
	ListCell   *cell;
	int			count = 0;
	int64_t		chosen;

	foreach(cell, sources)
	{
		Source	   *source = lfirst(cell);
		Mask	   *mask = &masks[count];

		facts[count].flow = source->flow;
		/* a mask that is not to be found counts as one that is like no other */
		if (!mask_in_policy(&source->mask, mask))
			facts[count].flow = WARDEN_FLOW_CHANGED;
		else
			facts[count].options = warden_text(JsonbToCString(NULL, &mask->options->root, VARSIZE(mask->options)));
		facts[count].method = warden_text(mask->method);
		count++;
	}
	SWIFT_GET(chosen, warden_derived_mask(facts, count));
	return chosen >= 0 && chosen < count ? masks[chosen] : (Mask) {NULL, warden_no_options()};
}

static void
store_mask(Derivation *derivation)
{
	Oid			types[6] = {OIDOID, INT2OID, NAMEOID, TEXTOID, JSONBOID, TEXTOID};
	Datum		values[6];
	Mask		mask = choose_mask(derivation->sources);
	WardenFittedMask fitted = warden_fit_mask(derivation->relation, derivation->column, mask.method, mask.options, false);
	char	   *name = warden_column_name(derivation->relation, derivation->column);

	values[0] = ObjectIdGetDatum(derivation->relation);
	values[1] = Int16GetDatum(derivation->column);
	values[2] = DirectFunctionCall1(namein, CStringGetDatum(name));
	values[3] = CStringGetTextDatum(fitted.method);
	values[4] = JsonbPGetDatum(fitted.options);
	values[5] = CStringGetTextDatum(fitted.expression);
	warden_mask_rows_bind(derivation->relation);
	if (warden_internal_sql("INSERT INTO warden.mask_policy (relation, attnum, column_name, method, options, expression, "
							"source, made_for) VALUES ($1, $2, $3, $4, $5, $6, 'derived', $1) ON CONFLICT DO NOTHING",
							6, types, values, NULL) > 0)
		strlcpy(derivation->method, fitted.method, sizeof(derivation->method));
	warden_mask_view_build(derivation->relation);
}

static void
store_labels(const Derivation *derivation)
{
	Oid			types[4] = {OIDOID, INT2OID, NAMEOID, TEXTOID};
	Datum		values[4];
	ListCell   *cell;

	values[0] = ObjectIdGetDatum(derivation->relation);
	values[1] = Int16GetDatum(derivation->column);
	values[2] = DirectFunctionCall1(namein,
									CStringGetDatum(warden_column_name(derivation->relation, derivation->column)));
	foreach(cell, derivation->labels)
	{
		values[3] = CStringGetTextDatum(strVal(lfirst(cell)));
		warden_internal_sql("INSERT INTO warden.label_policy (relation, made_for, attnum, column_name, label, source) "
							"VALUES ($1, $1, $2, $3, $4, 'derived') ON CONFLICT DO NOTHING", 4, types, values, NULL);
	}
}

static void
store(void *arg)
{
	Derivation *derivation = arg;

	store_labels(derivation);
	if (derivation->sources != NIL)
		store_mask(derivation);
}

/* --- one column --- */

static void
tell(const Derivation *derivation)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	appendStringInfo(&text, "derive %s.%s: ",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(derivation->relation)),
												get_rel_name(derivation->relation)),
					 quote_identifier(warden_column_name(derivation->relation, derivation->column)));
	foreach(cell, derivation->labels)
		appendStringInfo(&text, "label %s, ", strVal(lfirst(cell)));
	if (derivation->method[0] != '\0')
		appendStringInfo(&text, "mask %s, ", derivation->method);
	appendStringInfo(&text, "from %s", derivation->from.data);
	warden_audit_event(WARDEN_EVENT_POLICY, text.data);
}

static void
derive_column(const WardenInflow *inflow)
{
	Derivation	derivation;

	if (!find_missing(&derivation, inflow))
		return;
	refuse_view(&derivation);
	/* one session at a time gives a table what it lacks; who has waited finds it done */
	LockDatabaseObject(RelationRelationId, derivation.relation, 0, ExclusiveLock);
	(void) warden_governed();
	if (!find_missing(&derivation, inflow))
		return;
	warden_internal_run(store, &derivation);
	CacheInvalidateRelcacheByRelid(derivation.relation);
	warden_policy_changed(warden_catalog.label_policy);
	warden_policy_changed(warden_catalog.mask_policy);
	/* in force for what this transaction does next */
	(void) warden_governed();
	if (derivation.labels != NIL)
		warden_masks_follow_labels(derivation.relation);
	tell(&derivation);
	warden_derive_dependents(derivation.relation);
}

static int
by_target(const ListCell *one, const ListCell *other)
{
	const WardenInflow *a = lfirst(one);
	const WardenInflow *b = lfirst(other);

	return a->target < b->target ? -1 : a->target > b->target;
}

void
warden_derive(List *inflows)
{
	ListCell   *cell;

	/* always in one order, so that two sessions do not wait for each other */
	list_sort(inflows, by_target);
	foreach(cell, inflows)
		derive_column(lfirst(cell));
}
