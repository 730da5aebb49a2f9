/*
 * Rows changed, counted as they are. The server counts for the command tag, in es_processed, what a node changes that
 * sets the tag. Here every node that changes rows is made to count there, and what those count that do not set the tag
 * is taken away again. The count is looked at whenever a node asks for its next row to change: so a limit holds from the
 * row that passes it, and it is known in which table that was.
 */
#include "shim.h"

#include "catalog/pg_class.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"

struct WardenChanging
{
	ModifyTableState *node;
	PlanState  *source;			/* of the rows to change */
	ExecProcNodeMtd next_source_row;
	uint64		counted;		/* es_processed as it was last seen */
	WardenTallied *tables;		/* by result relation; entries NULL: not looked up yet */
	struct WardenChanging *next;
};

/* that of every node which changes rows: the server has one function for it */
static ExecProcNodeMtd modify_table = NULL;

/* The relation that the row before was in. */
static int
last_table(const ModifyTableState *node)
{
	return node->operation == CMD_INSERT ? 0 : node->mt_lastResultIndex;
}

/* Temporary tables are exempt; a view has no rows, what its trigger does in their place is counted there. */
static bool
is_exempt(Relation relation)
{
	return relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP || relation->rd_rel->relkind == RELKIND_VIEW;
}

static void
look(WardenLimited *limited, WardenChanging *changing)
{
	ModifyTableState *node = changing->node;
	uint64		processed = node->ps.state->es_processed;
	int64		rows = (int64) (processed - changing->counted);
	int			table = last_table(node);
	Relation	relation = node->resultRelInfo[table].ri_RelationDesc;

	if (rows <= 0)
		return;
	changing->counted = processed;
	if (changing->tables[table].entries == NULL)
		warden_tally_for(&changing->tables[table], limited, RelationGetRelid(relation));
	warden_limited_changed(limited, &changing->tables[table], is_exempt(relation), rows);
}

static TupleTableSlot *
next_source_row(PlanState *source)
{
	WardenLimited *limited = warden_limited_now;
	WardenChanging *changing = limited ? limited->changing : NULL;

	while (changing != NULL && changing->source != source)
		changing = changing->next;
	if (changing == NULL)
		elog(ERROR, "pg_warden: rows are changed by a statement that is not running");
	look(limited, changing);
	return changing->next_source_row(source);
}

/* A node that does not set the command tag. */
static TupleTableSlot *
change_beside(PlanState *state)
{
	WardenLimited *limited = warden_limited_now;
	WardenChanging *changing = limited ? limited->changing : NULL;
	uint64		processed = state->state->es_processed;
	TupleTableSlot *slot;

	while (changing != NULL && &changing->node->ps != state)
		changing = changing->next;
	if (changing == NULL)
		return modify_table(state);
	changing->counted = processed;
	slot = modify_table(state);
	look(limited, changing);
	state->state->es_processed = processed;
	return slot;
}

static void
watch(WardenLimited *limited, ModifyTableState *node, bool sets_tag)
{
	WardenChanging *changing = MemoryContextAllocZero(limited->memory, sizeof(WardenChanging));

	changing->node = node;
	changing->tables = MemoryContextAllocZero(limited->memory, sizeof(WardenTallied) * Max(node->mt_nrels, 1));
	changing->source = outerPlanState(&node->ps);
	if (changing->source != NULL)
	{
		changing->next_source_row = changing->source->ExecProcNodeReal;
		changing->source->ExecProcNodeReal = next_source_row;
	}
	changing->next = limited->changing;
	limited->changing = changing;
	if (sets_tag)
		return;
	modify_table = node->ps.ExecProcNodeReal;
	node->ps.ExecProcNodeReal = change_beside;
	node->canSetTag = true;
}

void
warden_changes_watch(WardenLimited *limited, QueryDesc *query)
{
	ListCell   *cell;

	if (query->planstate != NULL && IsA(query->planstate, ModifyTableState))
		watch(limited, (ModifyTableState *) query->planstate, true);
	/* the one that a rule added is there, too, and counts by now (executor.c) */
	foreach(cell, query->estate->es_auxmodifytables)
		if (lfirst(cell) != query->planstate)
			watch(limited, lfirst(cell), false);
}

/* The server counts from 0 in every run, and another run may be below another statement. */
void
warden_changes_run(WardenLimited *limited)
{
	for (WardenChanging *changing = limited->changing; changing != NULL; changing = changing->next)
	{
		changing->counted = 0;
		memset(changing->tables, 0, sizeof(WardenTallied) * Max(changing->node->mt_nrels, 1));
	}
}

void
warden_changes_look(WardenLimited *limited, QueryDesc *query)
{
	for (WardenChanging *changing = limited->changing; changing != NULL; changing = changing->next)
		if (&changing->node->ps == query->planstate)
			look(limited, changing);
}
