/*
 * Defining masks: gathers the facts of the column; Swift decides what expression masks it, or why none can.
 */
#include "mask_definition.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static WardenTypeKind
kind_of_other(Oid type)
{
	char		category;
	bool		preferred;

	if (OidIsValid(get_element_type(type)))
		return WARDEN_TYPE_ARRAY;
	if (get_typtype(type) == TYPTYPE_ENUM)
		return WARDEN_TYPE_ENUM;
	get_type_category_preferred(type, &category, &preferred);
	/* citext and the like; not "char", regclass … */
	if (category == TYPCATEGORY_STRING && type >= FirstNormalObjectId)
		return WARDEN_TYPE_TEXT;
	return WARDEN_TYPE_OTHER;
}

static WardenTypeKind
kind_of(Oid type)
{
	static const struct
	{
		Oid			type;
		WardenTypeKind kind;
	}			kinds[] = {
		{TEXTOID, WARDEN_TYPE_TEXT}, {VARCHAROID, WARDEN_TYPE_TEXT}, {BPCHAROID, WARDEN_TYPE_TEXT},
		{NAMEOID, WARDEN_TYPE_TEXT}, {INT2OID, WARDEN_TYPE_INTEGER}, {INT4OID, WARDEN_TYPE_INTEGER},
		{INT8OID, WARDEN_TYPE_INTEGER}, {NUMERICOID, WARDEN_TYPE_NUMERIC}, {FLOAT4OID, WARDEN_TYPE_FLOAT},
		{FLOAT8OID, WARDEN_TYPE_FLOAT}, {MONEYOID, WARDEN_TYPE_MONEY}, {BOOLOID, WARDEN_TYPE_BOOLEAN},
		{DATEOID, WARDEN_TYPE_DATE}, {TIMESTAMPOID, WARDEN_TYPE_TIMESTAMP},
		{TIMESTAMPTZOID, WARDEN_TYPE_TIMESTAMPTZ}, {TIMEOID, WARDEN_TYPE_TIME}, {TIMETZOID, WARDEN_TYPE_TIMETZ},
		{INTERVALOID, WARDEN_TYPE_INTERVAL}, {UUIDOID, WARDEN_TYPE_UUID}, {JSONOID, WARDEN_TYPE_JSON},
		{JSONBOID, WARDEN_TYPE_JSON}, {BYTEAOID, WARDEN_TYPE_BYTEA}, {INETOID, WARDEN_TYPE_INET},
		{CIDROID, WARDEN_TYPE_CIDR},
	};

	for (int i = 0; i < (int) lengthof(kinds); i++)
		if (kinds[i].type == type)
			return kinds[i].kind;
	return kind_of_other(type);
}

static void
bad_options(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("mask options must be a JSON object of strings, numbers, booleans, and lists of them"),
			 errhint("For example: {\"prefix\": 1, \"fill\": \"***\"}.")));
}

static WardenText
option_text(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return warden_text(pnstrdup(value->val.string.val, value->val.string.len));
		case jbvNumeric:
			return warden_text(DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric))));
		case jbvBool:
			return warden_text(value->val.boolean ? "true" : "false");
		case jbvNull:
			return warden_text(NULL);
		default:
			bad_options();
			return warden_text(NULL);
	}
}

static bool
is_paths(WardenText key)
{
	return key.length == 5 && memcmp(key.bytes, "paths", 5) == 0;
}

static void
fill_options(WardenMaskDefinition *definition, Jsonb *options)
{
	JsonbIterator *iterator = JsonbIteratorInit(&options->root);
	JsonbValue	value;
	JsonbIteratorToken token;
	int			room = (int) (VARSIZE(options) / sizeof(JEntry)) + 1;
	WardenText *keys = palloc0(sizeof(WardenText) * room);
	WardenText *values = palloc0(sizeof(WardenText) * room);
	WardenText	key = {NULL, 0};
	int			depth = 0;

	if (!JB_ROOT_IS_OBJECT(options))
		bad_options();
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_OBJECT || token == WJB_BEGIN_ARRAY)
			depth++;
		if (token == WJB_END_OBJECT || token == WJB_END_ARRAY)
			depth--;
		/* an object with lists in it, and nothing deeper; no list is empty; paths alone may be an object */
		if (depth > 2 || (token == WJB_BEGIN_OBJECT && depth != 1 && !is_paths(key)) ||
			(token == WJB_BEGIN_OBJECT && depth == 2 && value.val.object.nPairs == 0) ||
			(token == WJB_BEGIN_ARRAY && value.val.array.nElems == 0))
			bad_options();
		if (depth == 2 && token == WJB_KEY)
		{
			/* {"path": "method"}: a path and a method, as from two lists */
			keys[definition->option_count] = key;
			values[definition->option_count++] = option_text(&value);
		}
		else if (token == WJB_KEY)
			key = option_text(&value);
		else if (token == WJB_VALUE || token == WJB_ELEM)
		{
			keys[definition->option_count] = depth == 2 && token == WJB_VALUE ? warden_text("methods") : key;
			values[definition->option_count++] = option_text(&value);
		}
	}
	definition->keys = keys;
	definition->values = values;
}

/* A unique index on the column alone. */
static bool
is_unique(Oid relid, AttrNumber attnum)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *cell;
	bool		unique = false;

	foreach(cell, indexes)
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
		Form_pg_index index;

		if (!HeapTupleIsValid(tuple))
			continue;
		index = (Form_pg_index) GETSTRUCT(tuple);
		unique |= index->indisunique && index->indnkeyatts == 1 && index->indkey.values[0] == attnum;
		ReleaseSysCache(tuple);
	}
	relation_close(rel, AccessShareLock);
	return unique;
}

static char *
type_name_alone(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "pg_warden: type %u does not exist", type);
	name = pstrdup(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname));
	ReleaseSysCache(tuple);
	return name;
}

static bool
domain_is_not_null(Oid type)
{
	bool		not_null = false;

	while (get_typtype(type) == TYPTYPE_DOMAIN)
	{
		HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "pg_warden: type %u does not exist", type);
		not_null |= ((Form_pg_type) GETSTRUCT(tuple))->typnotnull;
		type = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;
		ReleaseSysCache(tuple);
	}
	return not_null;
}

/* Of what is masked: the column's type, or its elements'. */
static void
fill_measures(WardenMaskDefinition *definition, Oid type, int32 typmod)
{
	definition->max_characters = -1;
	if ((type == VARCHAROID || type == BPCHAROID) && typmod > (int32) VARHDRSZ)
		definition->max_characters = typmod - (int32) VARHDRSZ;
	if (type == NUMERICOID && typmod > (int32) VARHDRSZ)
	{
		/* as numeric.c has it, a scale can be negative, or more than the precision */
		definition->precision = ((typmod - (int32) VARHDRSZ) >> 16) & 0xFFFF;
		definition->scale = (((typmod - (int32) VARHDRSZ) & 0x7FF) ^ 1024) - 1024;
	}
	if (definition->element == WARDEN_TYPE_INTEGER || definition->element == WARDEN_TYPE_FLOAT)
		definition->width = get_typlen(type) * BITS_PER_BYTE;
	definition->folds_case = type >= FirstNormalObjectId && strcmp(type_name_alone(type), "citext") == 0;
}

static void
fill_type(WardenMaskDefinition *definition, Form_pg_attribute attribute)
{
	int32		typmod = attribute->atttypmod;
	Oid			base = getBaseTypeAndTypmod(attribute->atttypid, &typmod);
	Oid			element = base;

	definition->type_name = warden_text(format_type_extended(attribute->atttypid, attribute->atttypmod,
															  FORMAT_TYPE_TYPEMOD_GIVEN |
															  FORMAT_TYPE_FORCE_QUALIFY));
	definition->base_name = warden_text(base < FirstNormalObjectId ? type_name_alone(base) : "");
	definition->type = kind_of(base);
	definition->is_domain = base != attribute->atttypid;
	definition->domain_not_null = domain_is_not_null(attribute->atttypid);
	definition->not_null = attribute->attnotnull;
	if (definition->type == WARDEN_TYPE_ARRAY)
	{
		element = getBaseTypeAndTypmod(get_element_type(base), &typmod);
		definition->is_domain |= element != get_element_type(base);
	}
	definition->element = kind_of(element);
	fill_measures(definition, element, typmod);
}

char *
warden_define_mask(Oid relid, AttrNumber attnum, const char *method, Jsonb *options, char **chosen)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attnum));
	WardenMaskDefinition definition = {0};
	WardenBuffer expression = {palloc(4096), 4096, 0};
	WardenBuffer method_chosen = {palloc(64), 64, 0};
	WardenVerdict verdict;
	char	   *column;
	bool		defined;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "pg_warden: column %d of relation %u does not exist", attnum, relid);
	column = pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname));
	fill_type(&definition, (Form_pg_attribute) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	definition.target = warden_text(psprintf("%s.%s", quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
																					 get_rel_name(relid)),
											 quote_identifier(column)));
	definition.method = warden_text(method);
	definition.column = warden_text(quote_identifier(column));
	definition.unique = is_unique(relid, attnum);
	fill_options(&definition, options);
	if (method != NULL && strcmp(method, "expression") == 0)
		warden_mask_sql_bind(&definition, relid, attnum);
	SWIFT_GET(defined, warden_mask_expression(&definition, &expression, &method_chosen, warden_texts(), &verdict));
	if (!defined)
		warden_raise(&verdict);
	if (verdict.message.bytes != NULL)
		ereport(NOTICE,
				(errmsg_internal("%s", warden_translated(verdict.message, verdict.message_parts)),
				 errhint("%s", warden_translated(verdict.hint, verdict.hint_parts))));
	*chosen = pnstrdup((char *) method_chosen.bytes, method_chosen.length);
	return pnstrdup((char *) expression.bytes, expression.length);
}
