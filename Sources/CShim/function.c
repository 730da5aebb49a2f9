/*
 * Facts of users' functions, cached per backend: their names, and whether a call of them is to be seen. Found anew
 * after the server has told that some function or schema has changed. An entry's names are used by statements under
 * way: they are replaced where they have changed, and the old ones are left alone.
 */
#include "shim.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

static HTAB *functions = NULL;

static void
functions_changed(Datum arg, int cache, uint32 hash)
{
	HASH_SEQ_STATUS scan;
	WardenFunction *entry;

	(void) arg;
	(void) cache;
	(void) hash;
	if (functions == NULL)
		return;
	hash_seq_init(&scan, functions);
	while ((entry = hash_seq_search(&scan)) != NULL)
		entry->valid = false;
}

void
warden_function_init(void)
{
	CacheRegisterSyscacheCallback(PROCOID, functions_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, functions_changed, (Datum) 0);
}

/* --- does a SQL function run statements, or is it an expression? --- */

static bool
finds_sublink(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		return true;
	return raw_expression_tree_walker(node, finds_sublink, context);
}

/* SELECT of one expression over nothing: what the planner puts in the place of a call. */
static bool
is_expression(List *raw)
{
	SelectStmt *select;

	if (list_length(raw) != 1)
		return false;
	select = (SelectStmt *) linitial_node(RawStmt, raw)->stmt;
	return IsA(select, SelectStmt) && select->op == SETOP_NONE && select->fromClause == NIL &&
		select->valuesLists == NIL && select->intoClause == NULL && select->withClause == NULL &&
		list_length(select->targetList) == 1 && !finds_sublink((Node *) select->targetList, NULL);
}

/* A body that cannot be read is one that will fail when it is called: no reason to fail before. */
static bool
text_is_expression(const char *body)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool result = false;

	PG_TRY();
	{
		result = is_expression(raw_parser(body, RAW_PARSE_DEFAULT));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		FlushErrorState();
	}
	PG_END_TRY();
	return result;
}

static bool
parsed_is_expression(const char *body)
{
	Node	   *node = stringToNode(body);
	Query	   *query = (Query *) node;

	/* BEGIN ATOMIC: a list of statements, each rewritten; RETURN expression: the query itself */
	if (IsA(node, List))
	{
		List	   *statements = linitial_node(List, (List *) node);

		if (list_length(statements) != 1)
			return false;
		query = linitial_node(Query, statements);
	}
	return IsA(query, Query) && query->commandType == CMD_SELECT && query->rtable == NIL && !query->hasSubLinks &&
		list_length(query->targetList) == 1;
}

static bool
runs_statements(HeapTuple tuple)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	bool		isnull;
	Datum		body;

	if (form->prosecdef || !heap_attisnull(tuple, Anum_pg_proc_proconfig, NULL))
		return true;
	/* one that returns a set is put in its place in FROM where it is not volatile */
	if (form->proretset)
		return form->provolatile == PROVOLATILE_VOLATILE;
	body = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosqlbody, &isnull);
	if (!isnull)
		return !parsed_is_expression(TextDatumGetCString(body));
	body = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
	return isnull || !text_is_expression(TextDatumGetCString(body));
}

/* --- the cache --- */

/* Replaces a text where it has changed. */
static WardenText
kept_text(WardenText old, const char *text)
{
	if (old.bytes != NULL && text != NULL && strcmp((const char *) old.bytes, text) == 0)
		return old;
	return warden_text(text ? MemoryContextStrdup(TopMemoryContext, text) : NULL);
}

/* A type that is being dropped together with its function is no reason to fail. */
static char *
argument_types(Form_pg_proc form)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < form->pronargs; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? "," : "",
						 format_type_extended(form->proargtypes.values[i], -1,
											  FORMAT_TYPE_ALLOW_INVALID | FORMAT_TYPE_FORCE_QUALIFY));
	return list.data;
}

static void
fill(WardenFunction *entry, HeapTuple tuple)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	char	   *schema = get_namespace_name(form->pronamespace);
	const char *kind = form->prokind == PROKIND_PROCEDURE ? "procedure" :
		form->prokind == PROKIND_AGGREGATE ? "aggregate" : "function";

	entry->object.catalog = ProcedureRelationId;
	entry->object.oid = entry->oid;
	entry->object.schema = form->pronamespace;
	entry->object.flags = (form->pronamespace == warden_catalog.schema ? WARDEN_OBJECT_OWN : 0) |
		(isTempNamespace(form->pronamespace) ? WARDEN_OBJECT_TEMPORARY : 0);
	entry->object.kind = warden_text(kind);
	entry->object.name = kept_text(entry->object.name,
								   quote_qualified_identifier(schema, NameStr(form->proname)));
	entry->via = kept_text(entry->via, psprintf("%s %s(%s)", kind, (const char *) entry->object.name.bytes,
												argument_types(form)));
	entry->body_is_known = false;
	entry->is_mask = form->pronamespace == warden_catalog.schema && strncmp(NameStr(form->proname), "mask_", 5) == 0;
	entry->returns_set_in_sql = form->prolang == SQLlanguageId && form->proretset;
	entry->runs_statements = form->prolang == SQLlanguageId ? runs_statements(tuple) :
		form->prolang != INTERNALlanguageId && form->prolang != ClanguageId;
	entry->of_library = entry->object.schema != warden_catalog.schema && form->prolang != SQLlanguageId &&
		form->prolang != INTERNALlanguageId && (form->prolang == ClanguageId || !warden_language_is_trusted(form->prolang));
	entry->tells_statements = form->proretset && form->prolang == ClanguageId && warden_row_tells_statements(tuple);
	entry->shows_pages = form->prolang == ClanguageId && warden_row_shows_pages(tuple);
	entry->host = warden_host_function_row(entry->oid, tuple);
	/* its name may be another now */
	entry->policy = 0;
	entry->has_parsed_body = !heap_attisnull(tuple, Anum_pg_proc_prosqlbody, NULL);
}

WardenFunction *
warden_function(Oid function)
{
	bool		found;
	WardenFunction *entry;
	HeapTuple	tuple;
	MemoryContext caller;

	if (functions == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(WardenFunction), .hcxt = TopMemoryContext};

		functions = hash_create("pg_warden functions", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(functions, &function, HASH_ENTER, &found);
	if (!found)
	{
		memset(entry, 0, sizeof(*entry));
		entry->oid = function;
	}
	if (likely(entry->valid))
		return entry;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	caller = MemoryContextSwitchTo(warden_statement_memory());
	fill(entry, tuple);
	MemoryContextSwitchTo(caller);
	ReleaseSysCache(tuple);
	entry->valid = true;
	return entry;
}

WardenText
warden_function_body(WardenFunction *function)
{
	LOCAL_FCINFO(fcinfo, 1);
	MemoryContext caller;
	Datum		body;

	if (!function->has_parsed_body)
		return warden_text(NULL);
	if (function->body_is_known)
		return function->body;
	caller = MemoryContextSwitchTo(warden_statement_memory());
	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = ObjectIdGetDatum(function->oid);
	fcinfo->args[0].isnull = false;
	body = pg_get_function_sqlbody(fcinfo);
	if (!fcinfo->isnull)
		function->body = kept_text(function->body, TextDatumGetCString(body));
	function->body_is_known = true;
	MemoryContextSwitchTo(caller);
	return function->body;
}
