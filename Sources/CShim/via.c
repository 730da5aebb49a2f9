/*
 * What a statement reaches relations through that it does not name itself. Views and rules are seen in the rewritten
 * query, where they still nest, and stamped on the references below them, so that the plan tells; of views within
 * views the outermost counts, the one that the statement named. A function is known while it runs.
 */
#include "shim.h"

#include "catalog/objectaddress.h"
#include "catalog/pg_rewrite.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/prs2lock.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/relcache.h"

/* --- stamping --- */

static bool stamp_query(Query *query, const char *via);

static bool
stamp_expressions(Node *node, void *via)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return stamp_query((Query *) node, via);
	return expression_tree_walker(node, stamp_expressions, via);
}

static char *
view_stamp(Oid view)
{
	return OidIsValid(view) ? psprintf("v%u", view) : NULL;
}

static void
stamp_entry(RangeTblEntry *rte, const char *via)
{
	/* in a view's body there is the view itself, too */
	if (rte->rtekind == RTE_RELATION && via != NULL &&
		(rte->relkind != RELKIND_VIEW || strcmp(via, view_stamp(rte->relid)) != 0))
		warden_stamp_set(rte, WARDEN_STAMP_VIA, via);
	else if (rte->rtekind == RTE_SUBQUERY && rte->subquery != NULL)
		(void) stamp_query(rte->subquery, via ? via : view_stamp(WARDEN_VIEW_OF(rte)));
}

/* A view that is updated is replaced by its table; the views that were on the way stay in the range table. */
static void
stamp_updated_table(Query *query)
{
	ListCell   *cell;

	if (query->resultRelation == 0 || rt_fetch(query->resultRelation, query->rtable)->relkind == RELKIND_VIEW)
		return;
	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst(cell);

		if (rte->rtekind != RTE_RELATION || rte->relkind != RELKIND_VIEW)
			continue;
		warden_stamp_set(rt_fetch(query->resultRelation, query->rtable), WARDEN_STAMP_VIA, view_stamp(rte->relid));
		return;
	}
}

static bool
stamp_query(Query *query, const char *via)
{
	ListCell   *cell;

	check_stack_depth();
	if (via == NULL)
		stamp_updated_table(query);
	foreach(cell, query->rtable)
		stamp_entry(lfirst(cell), via);
	/* a query over relations alone is done with */
	if (query->cteList != NIL || query->hasSubLinks)
		(void) query_tree_walker(query, stamp_expressions, (void *) via, QTW_IGNORE_RT_SUBQUERIES);
	return false;
}

static bool
is_rule_action(const Query *query)
{
	return query->querySource == QSRC_INSTEAD_RULE || query->querySource == QSRC_QUAL_INSTEAD_RULE ||
		query->querySource == QSRC_NON_INSTEAD_RULE;
}

/* The relation whose rule it is is in its range table, for OLD and NEW. */
static char *
rule_stamp(const Query *query)
{
	ListCell   *cell;

	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst(cell);

		if (OidIsValid(rte->relid) && !rte->inFromCl && rte->eref != NULL &&
			(strcmp(rte->eref->aliasname, "old") == 0 || strcmp(rte->eref->aliasname, "new") == 0))
			return psprintf("r%u", rte->relid);
	}
	return NULL;
}

void
warden_via_stamp(Query *query)
{
	(void) stamp_query(query, is_rule_action(query) ? rule_stamp(query) : NULL);
}

/* --- reading --- */

/* "purge on shop.orders" where the relation has one rule only that can be meant, else "on shop.orders". */
static char *
rule_name(const WardenRelation *on)
{
	Relation	relation = RelationIdGetRelation(on->oid);
	ObjectAddress rule = {RewriteRelationId, InvalidOid, 0};
	char	   *name = NULL;
	int			count = 0;

	if (relation != NULL)
	{
		for (int i = 0; relation->rd_rules != NULL && i < relation->rd_rules->numLocks; i++)
			if (relation->rd_rules->rules[i]->event != CMD_SELECT)
			{
				count++;
				rule.objectId = relation->rd_rules->rules[i]->ruleId;
			}
		RelationClose(relation);
	}
	if (count == 1)
		name = getObjectIdentity(&rule, true);
	return name ? name : psprintf("on %s", (const char *) on->object.name.bytes);
}

static char *
stamped_text(char kind, Oid oid)
{
	WardenRelation *relation = warden_relation(oid);

	if (relation == NULL)
		return NULL;
	if (kind == 'v')
		return psprintf("view %s", (const char *) relation->object.name.bytes);
	return psprintf("rule %s", rule_name(relation));
}

WardenText
warden_via(const RangeTblEntry *rte)
{
	int			length;
	const char *stamp = rte ? warden_stamp(rte, WARDEN_STAMP_VIA, &length) : NULL;
	WardenFunction *function = warden_running_function();
	MemoryContext caller;
	char	   *text;

	if (likely(stamp == NULL))
		return function ? function->via : warden_text(NULL);
	caller = MemoryContextSwitchTo(warden_statement_memory());
	text = stamped_text(*stamp, (Oid) strtoul(stamp + 1, NULL, 10));
	if (text != NULL && function != NULL)
		text = psprintf("%s, %s", (const char *) function->via.bytes, text);
	MemoryContextSwitchTo(caller);
	return text ? warden_text(text) : function ? function->via : warden_text(NULL);
}
