/*
 * Which columns a utility statement is about: ALTER TABLE … COLUMN, RENAME COLUMN, GRANT (column), COMMENT ON COLUMN,
 * CREATE INDEX and the like. A guard on another column of the table does not meet them. What is done to the table as a
 * whole, or cannot be told apart, is done to every column.
 */
#include "shim.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "utils/lsyscache.h"

typedef struct Columns
{
	Oid			relation;
	List	   *numbers;
	bool		all;			/* the table as a whole */
} Columns;

static void
add_named(Columns *columns, const char *name)
{
	AttrNumber	number = name ? get_attnum(columns->relation, name) : InvalidAttrNumber;

	if (AttributeNumberIsValid(number))
		columns->numbers = list_append_unique_int(columns->numbers, number);
	else
		columns->all = true;
}

static void
add_names(Columns *columns, List *names)
{
	ListCell   *cell;

	foreach(cell, names)
		add_named(columns, strVal(lfirst(cell)));
}

/* A column that a raw expression names; what is none may be the whole row. */
static bool
add_references(Node *node, Columns *columns)
{
	if (node == NULL || columns->all)
		return false;
	if (IsA(node, ColumnRef))
	{
		Node	   *last = llast(((ColumnRef *) node)->fields);

		add_named(columns, IsA(last, String) ? strVal(last) : NULL);
		return false;
	}
	return raw_expression_tree_walker(node, add_references, columns);
}

List *
warden_expression_columns(Oid relation, Node *expression, bool *whole_row)
{
	Columns		columns = {.relation = relation};

	(void) add_references(expression, &columns);
	*whole_row |= columns.all;
	return columns.numbers;
}

static void
add_index_elements(Columns *columns, List *elements)
{
	ListCell   *cell;

	foreach(cell, elements)
	{
		IndexElem  *element = lfirst_node(IndexElem, cell);

		if (element->name != NULL)
			add_named(columns, element->name);
		else
			(void) add_references(element->expr, columns);
	}
}

static void
add_constraint(Columns *columns, Constraint *constraint)
{
	ListCell   *cell;

	switch (constraint->contype)
	{
		case CONSTR_CHECK:
			columns->all |= constraint->raw_expr == NULL;
			(void) add_references(constraint->raw_expr, columns);
			break;
		case CONSTR_PRIMARY:
		case CONSTR_UNIQUE:
			columns->all |= constraint->keys == NIL;
			add_names(columns, constraint->keys);
			add_names(columns, constraint->including);
			break;
		case CONSTR_FOREIGN:
			add_names(columns, constraint->fk_attrs);
			break;
		case CONSTR_EXCLUSION:
			foreach(cell, constraint->exclusions)
				add_index_elements(columns, list_make1(linitial(lfirst_node(List, cell))));
			(void) add_references(constraint->where_clause, columns);
			break;
		default:
			columns->all = true;
	}
}

List *
warden_command_columns(const WardenRelation *relation, AlterTableCmd *command)
{
	Columns		columns = {.relation = relation->oid};

	switch (command->subtype)
	{
		case AT_AddColumn:
			/* none that is there already */
			return list_make1_int((int) relation->object.column_count + 1);
		case AT_AddConstraint:
			add_constraint(&columns, (Constraint *) command->def);
			break;
		case AT_ColumnDefault:
		case AT_DropNotNull:
		case AT_SetNotNull:
		case AT_DropExpression:
		case AT_SetStatistics:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_SetStorage:
		case AT_SetCompression:
		case AT_DropColumn:
		case AT_AlterColumnType:
		case AT_AlterColumnGenericOptions:
		case AT_AddIdentity:
		case AT_SetIdentity:
		case AT_DropIdentity:
			add_named(&columns, command->name);
			break;
		default:
			return NIL;
	}
	return columns.all ? NIL : columns.numbers;
}

static void
tell(WardenFacts *facts, Columns *columns)
{
	if (!columns->all && columns->numbers != NIL)
		warden_facts_columns(facts, columns->relation, columns->numbers);
}

static Columns
columns_of(const RangeVar *relation)
{
	Columns		columns = {.relation = relation ? RangeVarGetRelid(relation, NoLock, true) : InvalidOid};

	columns.all = !OidIsValid(columns.relation);
	return columns;
}

static void
renamed(WardenFacts *facts, RenameStmt *stmt)
{
	Columns		columns = columns_of(stmt->renameType == OBJECT_COLUMN ? stmt->relation : NULL);

	if (!columns.all)
		add_named(&columns, stmt->subname);
	tell(facts, &columns);
}

static void
granted(WardenFacts *facts, GrantStmt *stmt)
{
	ListCell   *object;
	ListCell   *cell;

	if (stmt->targtype != ACL_TARGET_OBJECT || stmt->objtype != OBJECT_TABLE)
		return;
	foreach(object, stmt->objects)
	{
		Columns		columns = columns_of(lfirst_node(RangeVar, object));

		columns.all |= stmt->privileges == NIL;
		foreach(cell, stmt->privileges)
		{
			AccessPriv *privilege = lfirst_node(AccessPriv, cell);

			columns.all |= privilege->cols == NIL;
			if (!columns.all)
				add_names(&columns, privilege->cols);
		}
		tell(facts, &columns);
	}
}

/* COMMENT and SECURITY LABEL: the names of the table, then the column's. */
static void
described(WardenFacts *facts, ObjectType type, Node *object)
{
	List	   *names = (List *) object;
	Columns		columns;

	if (type != OBJECT_COLUMN || list_length(names) < 2)
		return;
	columns = columns_of(makeRangeVarFromNameList(list_truncate(list_copy(names), list_length(names) - 1)));
	if (!columns.all)
		add_named(&columns, strVal(llast(names)));
	tell(facts, &columns);
}

static void
indexed(WardenFacts *facts, IndexStmt *stmt)
{
	Columns		columns = columns_of(stmt->relation);

	if (columns.all)
		return;
	add_index_elements(&columns, stmt->indexParams);
	add_index_elements(&columns, stmt->indexIncludingParams);
	(void) add_references(stmt->whereClause, &columns);
	tell(facts, &columns);
}

static void
measured(WardenFacts *facts, CreateStatsStmt *stmt)
{
	Columns		columns = columns_of(list_length(stmt->relations) == 1 && IsA(linitial(stmt->relations), RangeVar) ?
									 linitial(stmt->relations) : NULL);
	ListCell   *cell;

	if (columns.all)
		return;
	foreach(cell, stmt->exprs)
	{
		StatsElem  *element = lfirst_node(StatsElem, cell);

		if (element->name != NULL)
			add_named(&columns, element->name);
		else
			(void) add_references(element->expr, &columns);
	}
	tell(facts, &columns);
}

void
warden_utility_columns(WardenFacts *facts, Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_RenameStmt:
			renamed(facts, (RenameStmt *) stmt);
			break;
		case T_GrantStmt:
			granted(facts, (GrantStmt *) stmt);
			break;
		case T_CommentStmt:
			described(facts, ((CommentStmt *) stmt)->objtype, ((CommentStmt *) stmt)->object);
			break;
		case T_SecLabelStmt:
			described(facts, ((SecLabelStmt *) stmt)->objtype, ((SecLabelStmt *) stmt)->object);
			break;
		case T_IndexStmt:
			indexed(facts, (IndexStmt *) stmt);
			break;
		case T_CreateStatsStmt:
			measured(facts, (CreateStatsStmt *) stmt);
			break;
		default:
			break;
	}
}
