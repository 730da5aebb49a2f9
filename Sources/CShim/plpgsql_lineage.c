/*
 * Lineage through variables of PL/pgSQL. A trigger is handed real rows, whatever the session sees: what it stores of NEW
 * and OLD is stored of columns of its table. What is in other variables is told by the statements of the function that
 * set them, all of them, in whatever order they run. What the function was called with is not known here, nor what
 * dynamic SQL brings.
 */
#include "lineage.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/params.h"
#include "plpgsql.h"
#include "utils/plancache.h"

/* What is asked of a function: where the value of a variable, or of one of its fields, comes from. */
typedef struct Search
{
	PLpgSQL_function *function;
	Oid			trigger;		/* its table, where it is a trigger; else InvalidOid */
	int			number;			/* of the variable that is followed */
	const char *field;			/* NULL: all of it */
	WardenFlow	flow;
	Bitmapset  *seen;			/* variables that were followed, each with what arrives of it */
	List	   *origins;
} Search;

static void search_statements(List *statements, Search *search);
static void follow(Search *search, int number, const char *field, WardenFlow flow);

/* Asked of parameters that something other than plain values comes with. */
bool
warden_params_of_plpgsql(ParamListInfo params)
{
	static void *setup = NULL;

	if (params == NULL || params->parserSetup == NULL || params->parserSetupArg == NULL)
		return false;
	if (setup == NULL)
		setup = load_external_function("$libdir/plpgsql", "plpgsql_parser_setup", false, NULL);
	return setup != NULL && (void *) params->parserSetup == setup;
}

/* --- rows of the trigger --- */

static bool
is_row_of_trigger(const Search *search, int number)
{
	return OidIsValid(search->trigger) &&
		(number == search->function->new_varno || number == search->function->old_varno);
}

static void
add_column(Search *search, AttrNumber column, WardenFlow flow)
{
	search->origins = warden_origin_of_column(search->origins, search->trigger, column, flow, WARDEN_LINEAGE_ANYBODY);
}

static void
add_row(Search *search, const char *field, WardenFlow flow)
{
	WardenRelation *relation = warden_relation(search->trigger);
	int			columns = relation != NULL ? (int) relation->object.column_count : 0;

	if (field != NULL && get_attnum(search->trigger, field) > 0)
	{
		add_column(search, get_attnum(search->trigger, field), flow);
		return;
	}
	SWIFT_GET(flow, warden_flow_through(flow, WARDEN_PASSAGE_WORK));
	for (int column = 1; column <= columns; column++)
		add_column(search, (AttrNumber) column, flow);
}

/* --- expressions that set the variable --- */

static WardenFlow
weaker(WardenFlow one, WardenFlow other)
{
	return Min(one, other);
}

/* The field of that number, of a row that a trigger or a record variable holds; NULL: all of it. */
static const char *
field_of(const Search *search, const WardenOrigin *origin)
{
	if (origin->field > 0 && is_row_of_trigger(search, origin->column - 1))
		return warden_column_name(search->trigger, (AttrNumber) origin->field);
	return NULL;
}

/* A column of the result of the expression's query; 0: of all. It was run before, or nothing came of it. */
static void
search_expression(PLpgSQL_expr *expression, AttrNumber column, Search *search)
{
	Search		outer = *search;
	ListCell   *cell;
	ListCell   *inner;
	ListCell   *found;

	if (expression == NULL || expression->plan == NULL)
		return;
	foreach(cell, SPI_plan_get_plan_sources(expression->plan))
		foreach(inner, ((CachedPlanSource *) lfirst(cell))->query_list)
			foreach(found, warden_origins_of_column(lfirst(inner), column, WARDEN_LINEAGE_PARAMETERS))
		{
			WardenOrigin origin = *(WardenOrigin *) lfirst(found);
			/* a row that is handed on has its fields still */
			const char *field = origin.field > 0 ? field_of(search, &origin) :
				origin.flow == WARDEN_FLOW_WHOLE ? outer.field : NULL;

			origin.flow = weaker(origin.flow, outer.flow);
			if (OidIsValid(origin.relation))
				search->origins = warden_origin_add(search->origins, &origin);
			else
				follow(search, origin.column - 1, field, origin.flow);
			search->number = outer.number;
			search->field = outer.field;
			search->flow = outer.flow;
		}
}

/* The column of the query that has the name of the field; 0, all of them, where none has. */
static AttrNumber
column_named(PLpgSQL_expr *expression, const char *field)
{
	ListCell   *cell;
	ListCell   *inner;
	ListCell   *entry;

	if (expression == NULL || expression->plan == NULL || field == NULL)
		return 0;
	foreach(cell, SPI_plan_get_plan_sources(expression->plan))
		foreach(inner, ((CachedPlanSource *) lfirst(cell))->query_list)
			foreach(entry, lfirst_node(Query, inner)->targetList)
		{
			TargetEntry *target = lfirst(entry);

			if (!target->resjunk && target->resname != NULL && strcmp(target->resname, field) == 0)
				return target->resno;
		}
	return 0;
}

/* A query's row goes into the target, which may be the variable, a list with it, or the record that it is a field of. */
static void
search_into(const PLpgSQL_variable *target, PLpgSQL_expr *query, Search *search)
{
	const PLpgSQL_row *row = (const PLpgSQL_row *) target;
	WardenFlow	flow = search->flow;

	if (target == NULL)
		return;
	if (target->dtype == PLPGSQL_DTYPE_ROW)
	{
		for (int i = 0; i < row->nfields; i++)
			if (row->varnos[i] == search->number)
				search_expression(query, (AttrNumber) (i + 1), search);
	}
	else if (target->dno == search->number)
	{
		AttrNumber	column = column_named(query, search->field);

		if (column == 0)
			SWIFT_GET(search->flow, warden_flow_through(flow, WARDEN_PASSAGE_WORK));
		search_expression(query, column, search);
		search->flow = flow;
	}
}

static PLpgSQL_expr *
cursor_query(const Search *search, int number)
{
	PLpgSQL_var *cursor = (PLpgSQL_var *) search->function->datums[number];

	return cursor->dtype == PLPGSQL_DTYPE_VAR ? cursor->cursor_explicit_expr : NULL;
}

/* --- statements --- */

static bool
is_field_of(const Search *search, int number, int record)
{
	PLpgSQL_recfield *field = (PLpgSQL_recfield *) search->function->datums[number];

	return field->dtype == PLPGSQL_DTYPE_RECFIELD && field->recparentno == record &&
		(search->field == NULL || strcmp(field->fieldname, search->field) == 0);
}

static void
search_assignment(const PLpgSQL_stmt_assign *stmt, Search *search)
{
	WardenFlow	flow = search->flow;
	const char *field = search->field;

	if (stmt->varno == search->number)
		search_expression(stmt->expr, 1, search);
	else if (is_field_of(search, stmt->varno, search->number))
	{
		if (field == NULL)
			SWIFT_GET(search->flow, warden_flow_through(flow, WARDEN_PASSAGE_WORK));
		search->field = NULL;
		search_expression(stmt->expr, 1, search);
		search->flow = flow;
		search->field = field;
	}
}

static void
search_block(const PLpgSQL_stmt_block *block, Search *search)
{
	ListCell   *cell;

	for (int i = 0; i < block->n_initvars; i++)
	{
		PLpgSQL_variable *variable = (PLpgSQL_variable *) search->function->datums[block->initvarnos[i]];

		if (variable->dno == search->number &&
			(variable->dtype == PLPGSQL_DTYPE_VAR || variable->dtype == PLPGSQL_DTYPE_REC))
			search_expression(variable->default_val, 1, search);
	}
	search_statements(block->body, search);
	if (block->exceptions != NULL)
		foreach(cell, block->exceptions->exc_list)
			search_statements(((PLpgSQL_exception *) lfirst(cell))->action, search);
}

static void
search_branches(const PLpgSQL_stmt *stmt, Search *search)
{
	const PLpgSQL_stmt_if *choice = (const PLpgSQL_stmt_if *) stmt;
	const PLpgSQL_stmt_case *choices = (const PLpgSQL_stmt_case *) stmt;
	ListCell   *cell;

	if (stmt->cmd_type == PLPGSQL_STMT_IF)
	{
		search_statements(choice->then_body, search);
		foreach(cell, choice->elsif_list)
			search_statements(((PLpgSQL_if_elsif *) lfirst(cell))->stmts, search);
		search_statements(choice->else_body, search);
		return;
	}
	foreach(cell, choices->case_when_list)
		search_statements(((PLpgSQL_case_when *) lfirst(cell))->stmts, search);
	search_statements(choices->else_stmts, search);
}

static void
search_loop(const PLpgSQL_stmt *stmt, Search *search)
{
	switch (stmt->cmd_type)
	{
		case PLPGSQL_STMT_LOOP:
			search_statements(((const PLpgSQL_stmt_loop *) stmt)->body, search);
			break;
		case PLPGSQL_STMT_WHILE:
			search_statements(((const PLpgSQL_stmt_while *) stmt)->body, search);
			break;
		case PLPGSQL_STMT_FORI:
			search_statements(((const PLpgSQL_stmt_fori *) stmt)->body, search);
			break;
		case PLPGSQL_STMT_FORS:
			search_into(((const PLpgSQL_stmt_fors *) stmt)->var, ((const PLpgSQL_stmt_fors *) stmt)->query, search);
			search_statements(((const PLpgSQL_stmt_fors *) stmt)->body, search);
			break;
		case PLPGSQL_STMT_FORC:
			search_into(((const PLpgSQL_stmt_forc *) stmt)->var,
						cursor_query(search, ((const PLpgSQL_stmt_forc *) stmt)->curvar), search);
			search_statements(((const PLpgSQL_stmt_forc *) stmt)->body, search);
			break;
		case PLPGSQL_STMT_FOREACH_A:
			if (((const PLpgSQL_stmt_foreach_a *) stmt)->varno == search->number)
				search_expression(((const PLpgSQL_stmt_foreach_a *) stmt)->expr, 1, search);
			search_statements(((const PLpgSQL_stmt_foreach_a *) stmt)->body, search);
			break;
		case PLPGSQL_STMT_DYNFORS:
			search_statements(((const PLpgSQL_stmt_dynfors *) stmt)->body, search);
			break;
		default:
			break;
	}
}

static void
search_statement(const PLpgSQL_stmt *stmt, Search *search)
{
	switch (stmt->cmd_type)
	{
		case PLPGSQL_STMT_BLOCK:
			search_block((const PLpgSQL_stmt_block *) stmt, search);
			break;
		case PLPGSQL_STMT_ASSIGN:
			search_assignment((const PLpgSQL_stmt_assign *) stmt, search);
			break;
		case PLPGSQL_STMT_EXECSQL:
			if (((const PLpgSQL_stmt_execsql *) stmt)->into)
				search_into(((const PLpgSQL_stmt_execsql *) stmt)->target,
							((const PLpgSQL_stmt_execsql *) stmt)->sqlstmt, search);
			break;
		case PLPGSQL_STMT_FETCH:
			search_into(((const PLpgSQL_stmt_fetch *) stmt)->target,
						cursor_query(search, ((const PLpgSQL_stmt_fetch *) stmt)->curvar), search);
			break;
		case PLPGSQL_STMT_IF:
		case PLPGSQL_STMT_CASE:
			search_branches(stmt, search);
			break;
		default:
			search_loop(stmt, search);
			break;
	}
}

static void
search_statements(List *statements, Search *search)
{
	ListCell   *cell;

	check_stack_depth();
	foreach(cell, statements)
		search_statement(lfirst(cell), search);
}

/* --- variables --- */

/* The field of a record is looked for as that; each variable once. */
static void
follow(Search *search, int number, const char *field, WardenFlow flow)
{
	int			visit = number * 4 + (int) flow;
	PLpgSQL_datum *datum;

	check_stack_depth();
	if (number < 0 || number >= search->function->ndatums)
		return;
	datum = search->function->datums[number];
	if (datum->dtype == PLPGSQL_DTYPE_RECFIELD && is_row_of_trigger(search, ((PLpgSQL_recfield *) datum)->recparentno))
		add_row(search, ((PLpgSQL_recfield *) datum)->fieldname, flow);
	else if (is_row_of_trigger(search, number))
		add_row(search, field, flow);
	else if (!bms_is_member(visit, search->seen))
	{
		search->seen = bms_add_member(search->seen, visit);
		search->number = number;
		search->field = field;
		search->flow = flow;
		search_block(search->function->action, search);
		if (datum->dtype != PLPGSQL_DTYPE_RECFIELD)
			return;
		search->number = ((PLpgSQL_recfield *) datum)->recparentno;
		search->field = ((PLpgSQL_recfield *) datum)->fieldname;
		search->flow = flow;
		search_block(search->function->action, search);
	}
}

List *
warden_origins_of_variable(List *origins, ParamListInfo params, const WardenOrigin *parameter)
{
	Search		search = {.origins = origins};
	TriggerData *trigger;

	if (!warden_params_of_plpgsql(params))
		return origins;
	search.function = ((PLpgSQL_expr *) params->parserSetupArg)->func;
	if (search.function == NULL || search.function->cur_estate == NULL || search.function->action == NULL)
		return origins;
	trigger = search.function->cur_estate->trigdata;
	search.trigger = trigger != NULL ? RelationGetRelid(trigger->tg_relation) : InvalidOid;
	follow(&search, parameter->column - 1, field_of(&search, parameter), parameter->flow);
	return search.origins;
}
