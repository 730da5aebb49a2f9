/*
 * Lineage through variables of PL/pgSQL: a trigger is handed real rows, whatever the session sees, and what it stores
 * of NEW and OLD is stored of columns of its table.
 */
#include "lineage.h"

#include "nodes/params.h"
#include "plpgsql.h"

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

static bool
is_row_of_trigger(const PLpgSQL_function *function, int number)
{
	return function->fn_is_trigger == PLPGSQL_DML_TRIGGER &&
		(number == function->new_varno || number == function->old_varno);
}

static List *
add_row(List *origins, Oid relid, WardenFlow flow)
{
	int			columns = (int) warden_relation(relid)->object.column_count;

	SWIFT_GET(flow, warden_flow_through(flow, WARDEN_PASSAGE_WORK));
	for (int column = 1; column <= columns; column++)
		origins = warden_origin_of_column(origins, relid, (AttrNumber) column, flow, WARDEN_LINEAGE_ANYBODY);
	return origins;
}

static List *
add_column(List *origins, Oid relid, AttrNumber column, WardenFlow flow)
{
	return warden_origin_of_column(origins, relid, column, flow, WARDEN_LINEAGE_ANYBODY);
}

List *
warden_origins_of_variable(List *origins, ParamListInfo params, const WardenOrigin *parameter)
{
	PLpgSQL_function *function;
	PLpgSQL_datum *datum;
	PLpgSQL_recfield *field;
	Oid			relid;

	if (!warden_params_of_plpgsql(params))
		return origins;
	function = ((PLpgSQL_expr *) params->parserSetupArg)->func;
	if (function == NULL || function->cur_estate == NULL || function->cur_estate->trigdata == NULL ||
		parameter->column < 1 || parameter->column > function->ndatums)
		return origins;
	relid = RelationGetRelid(function->cur_estate->trigdata->tg_relation);
	datum = function->datums[parameter->column - 1];
	field = datum->dtype == PLPGSQL_DTYPE_RECFIELD ? (PLpgSQL_recfield *) datum : NULL;
	if (is_row_of_trigger(function, datum->dno) && parameter->field != 0)
		return add_column(origins, relid, (AttrNumber) parameter->field, parameter->flow);
	if (is_row_of_trigger(function, datum->dno))
		return add_row(origins, relid, parameter->flow);
	if (field != NULL && is_row_of_trigger(function, field->recparentno))
		return add_column(origins, relid, get_attnum(relid, field->fieldname), parameter->flow);
	return origins;
}
