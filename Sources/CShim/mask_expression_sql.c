/*
 * The mask `expression`: SQL over the column alone, from option sql. It is parsed as one expression, never pasted into
 * a statement; every name in it is looked up once, with a search path of pg_catalog alone, and stands qualified in the
 * masking view. What could read anything but the column is refused.
 */
#include "mask_definition.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* The column that an expression is over. */
typedef struct Masked
{
	Relation	rel;
	AttrNumber	attnum;
	const char *name;			/* as the expression calls it */
} Masked;

static void
refuse(const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value of option sql: %s", why),
			 errhint("Accepted: one expression over the column, by its name alone, with functions that are not volatile, "
					 "their schema named where it is not pg_catalog.")));
}

/* --- parsing --- */

/* Before its names are looked up: in a subquery they would be the column too. */
static bool
has_subquery(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, SubLink) || IsA(node, SelectStmt) || raw_expression_tree_walker(node, has_subquery, context);
}

/* The expression of a SELECT that consists of nothing else. */
static Node *
only_expression(const char *sql)
{
	List	   *parsed = raw_parser(sql, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = list_length(parsed) == 1 ? (SelectStmt *) linitial_node(RawStmt, parsed)->stmt : NULL;
	ResTarget  *target;

	if (select == NULL || !IsA(select, SelectStmt) || list_length(select->targetList) != 1 || select->distinctClause ||
		select->intoClause || select->fromClause || select->whereClause || select->groupClause ||
		select->havingClause || select->windowClause || select->valuesLists || select->sortClause ||
		select->limitOffset || select->limitCount || select->lockingClause || select->withClause ||
		select->op != SETOP_NONE)
		refuse("it is not one expression");
	target = linitial_node(ResTarget, select->targetList);
	if (target->name != NULL || target->indirection != NIL)
		refuse("it is not one expression");
	if (has_subquery(target->val, NULL))
		refuse("it has a subquery");
	return target->val;
}

static Node *
column_named(ParseState *pstate, ColumnRef *reference)
{
	const Masked *masked = pstate->p_ref_hook_state;
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(masked->rel), masked->attnum - 1);
	Var		   *var;

	if (list_length(reference->fields) != 1 || !IsA(linitial(reference->fields), String) ||
		strcmp(strVal(linitial(reference->fields)), masked->name) != 0)
		refuse("it names something other than its column");
	var = makeVar(1, masked->attnum, attribute->atttypid, attribute->atttypmod, attribute->attcollation, 0);
	var->location = reference->location;
	return (Node *) var;
}

static Node *
no_parameter(ParseState *pstate, ParamRef *reference)
{
	(void) pstate;
	(void) reference;
	refuse("it has a parameter");
	return NULL;
}

/* --- what must not be in it --- */

static bool
is_own_mask(Oid function, void *context)
{
	(void) context;
	return function >= FirstNormalObjectId && get_func_namespace(function) == warden_catalog.schema;
}

static bool
check_node(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref) || IsA(node, GroupingFunc) || IsA(node, WindowFunc))
		refuse("it has an aggregate or a window function");
	if (expression_returns_set(node))
		refuse("it returns a set");
	if (check_functions_in_node(node, is_own_mask, context))
		refuse("it calls a function of pg_warden");
	return expression_tree_walker(node, check_node, context);
}

/* What is under casts, which show the value itself. */
static Node *
without_casts(Node *node)
{
	for (;;)
	{
		if (IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, CoerceViaIO))
			node = (Node *) ((CoerceViaIO *) node)->arg;
		else if (IsA(node, ArrayCoerceExpr))
			node = (Node *) ((ArrayCoerceExpr *) node)->arg;
		else if (IsA(node, CoerceToDomain))
			node = (Node *) ((CoerceToDomain *) node)->arg;
		else if (IsA(node, CollateExpr))
			node = (Node *) ((CollateExpr *) node)->arg;
		else if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcformat != COERCE_EXPLICIT_CALL &&
				 ((FuncExpr *) node)->args != NIL)
			node = linitial(((FuncExpr *) node)->args);
		else
			return node;
	}
}

/*
 * Whoever reads the column runs the expression, its table's owner tries it, and a change of the table binds it anew: its
 * functions must be the server's, a superuser's, or the owner's own.
 */
static bool
is_trusted_role(Oid role, const Masked *masked)
{
	return role == masked->rel->rd_rel->relowner || superuser_arg(role);
}

static bool
is_not_trusted(Oid function, void *masked)
{
	HeapTuple	tuple;
	bool		trusted;

	if (function < FirstNormalObjectId)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	trusted = HeapTupleIsValid(tuple) && is_trusted_role(((Form_pg_proc) GETSTRUCT(tuple))->proowner, masked);
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return !trusted;
}

/* Constraints of domains are code as well. */
static bool
is_not_trusted_domain(Oid type, const Masked *masked)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	bool		trusted = HeapTupleIsValid(tuple) && is_trusted_role(((Form_pg_type) GETSTRUCT(tuple))->typowner, masked);

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return !trusted;
}

static bool
calls_the_untrusted(Node *node, void *context)
{
	const Masked *masked = context;

	if (node == NULL)
		return false;
	/* those of the column's own type are the table's */
	if (IsA(node, CoerceToDomain) &&
		((CoerceToDomain *) node)->resulttype != TupleDescAttr(masked->rel->rd_att, masked->attnum - 1)->atttypid &&
		is_not_trusted_domain(((CoerceToDomain *) node)->resulttype, masked))
		return true;
	return check_functions_in_node(node, is_not_trusted, context) ||
		expression_tree_walker(node, calls_the_untrusted, context);
}

static void
check(Node *expression, Masked *masked)
{
	(void) check_node(expression, NULL);
	if (calls_the_untrusted(expression, masked))
		refuse("it calls a function that is neither the server's nor the owner's nor a superuser's");
	if (contain_volatile_functions(expression))
		refuse("it calls a volatile function");
	if (IsA(without_casts(expression), Var))
		refuse("it shows the column as it is");
}

/* Masks run as the subject that sees them. */
static bool
tell_privilege(Oid function, void *context)
{
	(void) context;
	if (!WARDEN_MAY_EXECUTE(function, ACL_ID_PUBLIC))
		ereport(NOTICE,
				(errmsg("function %s is not for everyone", format_procedure(function)),
				 errdetail("The mask calls it as the subject that reads the column: reading fails without the privilege."),
				 errhint("Grant EXECUTE on it to every subject that sees the mask.")));
	return false;
}

static bool
tell_privileges(Node *node, void *context)
{
	if (node == NULL)
		return false;
	(void) check_functions_in_node(node, tell_privilege, context);
	return expression_tree_walker(node, tell_privileges, context);
}

/* --- */

/* Of exactly the column's type. */
static Node *
bind(const char *sql, Masked *masked)
{
	ParseState *pstate = make_parsestate(NULL);
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(masked->rel), masked->attnum - 1);
	Node	   *expression;
	Node	   *fitted;

	(void) addRangeTableEntryForRelation(pstate, masked->rel, AccessShareLock, NULL, false, false);
	pstate->p_sourcetext = sql;
	pstate->p_ref_hook_state = masked;
	pstate->p_pre_columnref_hook = column_named;
	pstate->p_paramref_hook = no_parameter;
	expression = transformExpr(pstate, only_expression(sql), EXPR_KIND_OTHER);
	fitted = coerce_to_target_type(pstate, expression, exprType(expression), attribute->atttypid, attribute->atttypmod,
								   COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
	if (fitted == NULL)
		refuse(psprintf("%s cannot be cast to the column's type, %s", format_type_be(exprType(expression)),
						format_type_be(attribute->atttypid)));
	assign_expr_collations(pstate, fitted);
	check(fitted, masked);
	free_parsestate(pstate);
	return fitted;
}

static WardenText *
option_named(WardenMaskDefinition *definition, const char *key)
{
	for (int64_t i = 0; i < definition->option_count; i++)
		if (strcmp(warden_cstring(definition->keys[i]), key) == 0)
			return (WardenText *) &definition->values[i];
	return NULL;
}

void
warden_mask_sql_bind(WardenMaskDefinition *definition, Oid relid, AttrNumber attnum)
{
	WardenText *sql = option_named(definition, "sql");
	WardenText *name = option_named(definition, "column");
	Masked		masked = {.attnum = attnum};
	Node	   *expression;
	int			guc_level;

	/* Swift says what is missing */
	if (sql == NULL || sql->bytes == NULL)
		return;
	guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	(void) set_config_option("standard_conforming_strings", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	masked.rel = table_open(relid, AccessShareLock);
	masked.name = name != NULL && name->bytes != NULL ? warden_cstring(*name) : warden_column_name(relid, attnum);
	expression = bind(warden_cstring(*sql), &masked);
	*sql = warden_text(deparse_expression(expression, deparse_context_for(get_rel_name(relid), relid), false, false));
	/* the name is noted when the mask is defined */
	if (name == NULL)
		(void) tell_privileges(expression, NULL);
	table_close(masked.rel, NoLock);
	AtEOXact_GUC(true, guc_level);
}

Jsonb *
warden_mask_sql_options(Jsonb *options, const char *column)
{
	StringInfoData noted;

	initStringInfo(&noted);
	appendStringInfoString(&noted, "{\"column\": ");
	escape_json(&noted, column);
	appendStringInfoString(&noted, "}");
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, DirectFunctionCall1(jsonb_in, CStringGetDatum(noted.data)),
											  JsonbPGetDatum(options)));
}
