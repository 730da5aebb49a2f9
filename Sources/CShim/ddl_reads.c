/*
 * What DDL reads: expressions that the server computes over the rows that are there, and keeps the results of, or answers
 * with: generated columns, ALTER TYPE … USING, CHECK and exclusion constraints, index expressions and predicates,
 * extended statistics. Who may not read a column does not get at it by defining something over it.
 *
 * Not a read: an index or constraint on plain columns, a change of type that computes a column from itself alone
 * (the result stays where the guard is), and what is computed for rows to come, by whoever writes those.
 */
#include "shim.h"

#include "catalog/namespace.h"
#include "nodes/value.h"
#include "utils/lsyscache.h"

typedef struct Reads
{
	Oid			relation;
	List	   *columns;
	bool		whole_row;
} Reads;

static void
computes(Reads *reads, Node *expression)
{
	reads->columns = list_concat_unique_int(reads->columns, warden_expression_columns(reads->relation, expression,
																					 &reads->whole_row));
}

static void
constrains(Reads *reads, Constraint *constraint)
{
	ListCell   *cell;

	switch (constraint->contype)
	{
		case CONSTR_CHECK:
		case CONSTR_GENERATED:
			computes(reads, constraint->raw_expr);
			break;
		case CONSTR_EXCLUSION:
			foreach(cell, constraint->exclusions)
				computes(reads, linitial_node(IndexElem, lfirst_node(List, cell))->expr);
			computes(reads, constraint->where_clause);
			break;
		default:
			break;
	}
}

static void
adds_column(Reads *reads, ColumnDef *definition)
{
	ListCell   *cell;

	foreach(cell, definition->constraints)
		if (IsA(lfirst(cell), Constraint))
			constrains(reads, lfirst(cell));
}

static void
changes_type(Reads *reads, const AlterTableCmd *command)
{
	Reads		using = {.relation = reads->relation};

	computes(&using, ((ColumnDef *) command->def)->raw_default);
	if (!using.whole_row && list_length(using.columns) == 1 &&
		linitial_int(using.columns) == get_attnum(reads->relation, command->name))
		return;
	reads->whole_row |= using.whole_row;
	reads->columns = list_concat_unique_int(reads->columns, using.columns);
}

static void
alters(Reads *reads, AlterTableStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *command = lfirst(cell);

		if (command->subtype == AT_AddColumn)
			adds_column(reads, (ColumnDef *) command->def);
		else if (command->subtype == AT_AddConstraint && IsA(command->def, Constraint))
			constrains(reads, (Constraint *) command->def);
		else if (command->subtype == AT_AlterColumnType)
			changes_type(reads, command);
		else if (WARDEN_SETS_EXPRESSION(command))
			computes(reads, command->def);
	}
}

static void
indexes(Reads *reads, IndexStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->indexParams)
		computes(reads, lfirst_node(IndexElem, cell)->expr);
	computes(reads, stmt->whereClause);
}

static void
measures(Reads *reads, CreateStatsStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->exprs)
	{
		StatsElem  *element = lfirst_node(StatsElem, cell);

		/* the values of plain columns are counted as well, and told by pg_stats_ext */
		if (element->name != NULL)
			reads->columns = list_append_unique_int(reads->columns, get_attnum(reads->relation, element->name));
		else
			computes(reads, element->expr);
	}
}

static const RangeVar *
table_of(Node *stmt)
{
	List	   *relations;

	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			return ((AlterTableStmt *) stmt)->relation;
		case T_IndexStmt:
			return ((IndexStmt *) stmt)->relation;
		case T_CreateStatsStmt:
			relations = ((CreateStatsStmt *) stmt)->relations;
			return list_length(relations) == 1 && IsA(linitial(relations), RangeVar) ? linitial(relations) : NULL;
		default:
			return NULL;
	}
}

static void
tell(WardenFacts *facts, WardenRelation *relation, const Reads *reads)
{
	int16_t    *columns = MemoryContextAllocZero(warden_statement_memory(),
												 sizeof(int16_t) * (list_length(reads->columns) + 1));
	WardenAccess *access = warden_facts_access(facts, &relation->object, WARDEN_CLASS_READ);
	int64_t		count = 0;
	ListCell   *cell;

	/* 0 is the whole row */
	if (reads->whole_row)
		columns[count++] = 0;
	foreach(cell, reads->columns)
		columns[count++] = (int16_t) lfirst_int(cell);
	qsort(columns, count, sizeof(int16_t), warden_ascending);
	access->read_columns = columns;
	access->read_count = count;
	/* an error may repeat a value */
	if (relation->sensitive_count > 0)
		warden_masked_read();
	if (relation->maskable)
		warden_facts_masked(access, relation);
}

void
warden_ddl_reads(WardenFacts *facts, Node *stmt)
{
	const RangeVar *name = table_of(stmt);
	Reads		reads = {.relation = name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid};
	WardenRelation *relation = OidIsValid(reads.relation) ? warden_relation(reads.relation) : NULL;

	if (relation == NULL)
		return;
	if (IsA(stmt, AlterTableStmt))
		alters(&reads, (AlterTableStmt *) stmt);
	else if (IsA(stmt, IndexStmt))
		indexes(&reads, (IndexStmt *) stmt);
	else
		measures(&reads, (CreateStatsStmt *) stmt);
	if (reads.whole_row || reads.columns != NIL)
		tell(facts, relation, &reads);
}
