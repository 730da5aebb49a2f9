/*
 * Calls of the functions that masks are made of; mask_call.h says who may make them.
 */
#include "mask_call.h"

#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"

void
warden_refuse_mask_call(Oid function)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("mask function warden.%s cannot be called", get_func_name(function)),
			 errdetail("Masks are applied by masking views alone."),
			 errhint("Read the masked table, or its view in schema warden_views.")));
}

static bool
mark(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid >= FirstNormalObjectId)
	{
		WardenFunction *function = warden_function(((FuncExpr *) node)->funcid);

		if (function != NULL && function->is_mask)
			((FuncExpr *) node)->inputcollid = WARDEN_MASK_CALL;
	}
	return expression_tree_walker(node, mark, context);
}

Node *
warden_mask_calls(Node *expression)
{
	/* a copy: what it came from may be the server's */
	expression = warden_mask_lazily(expression);
	(void) mark(expression, NULL);
	return expression;
}
