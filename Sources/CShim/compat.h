/*
 * What differs between the PostgreSQL versions that pg_warden compiles against (15, 17, 18), and nothing else.
 * No other file looks at PG_VERSION_NUM.
 */
#ifndef WARDEN_COMPAT_H
#define WARDEN_COMPAT_H

#include "postgres.h"

/* The catalogue of translations of what ereport tells: pg_warden-15 and so on, as the server's own. */
#undef TEXTDOMAIN
#define TEXTDOMAIN PG_TEXTDOMAIN("pg_warden")

#include "access/stratnum.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "parser/parse_relation.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

/* 16: permissions moved from the range table entry into a list of their own. */
#if PG_VERSION_NUM >= 160000
typedef RTEPermissionInfo WardenPermissions;

static inline WardenPermissions *
warden_permissions(List *perminfos, RangeTblEntry *rte)
{
	if (rte->perminfoindex == 0)
		return NULL;
	return getRTEPermissionInfo(perminfos, rte);
}

#define warden_plan_permissions(plan, rte) warden_permissions((plan)->permInfos, (rte))
#define warden_query_permissions(query, rte) warden_permissions((query)->rteperminfos, (rte))

/* Hands the permissions of `rte` over to `inner`, the only relation of the subquery `sub`. */
static inline void
warden_move_permissions(Query *query, RangeTblEntry *rte, Query *sub, RangeTblEntry *inner)
{
	WardenPermissions *permissions = warden_query_permissions(query, rte);

	if (permissions != NULL)
	{
		sub->rteperminfos = list_make1(copyObject(permissions));
		inner->perminfoindex = 1;
	}
	rte->perminfoindex = 0;
}
#else
typedef RangeTblEntry WardenPermissions;

#define warden_plan_permissions(plan, rte) ((void) (plan), (rte))
#define warden_query_permissions(query, rte) ((void) (query), (rte))

static inline void
warden_move_permissions(Query *query, RangeTblEntry *rte, Query *sub, RangeTblEntry *inner)
{
	(void) query;
	(void) sub;
	(void) inner;
	rte->requiredPerms = 0;
	rte->checkAsUser = InvalidOid;
	rte->selectedCols = NULL;
	rte->insertedCols = NULL;
	rte->updatedCols = NULL;
	rte->extraUpdatedCols = NULL;
}
#endif

/* 17: process numbers are counted from 0 and virtual transaction ids have a struct of their own. */
#if PG_VERSION_NUM >= 170000
#define WARDEN_LOCAL_XID() ((uint64) MyProc->vxid.lxid)
#define WARDEN_PROCESS_NUMBER() ((int) MyProcNumber)
#else
#define WARDEN_LOCAL_XID() ((uint64) MyProc->lxid)
#define WARDEN_PROCESS_NUMBER() ((int) MyBackendId - 1)
#endif

/* 18: a process says that it is a client's session; before, that it is a background worker. */
#if PG_VERSION_NUM >= 180000
#define WARDEN_IS_SESSION(proc) ((proc)->isRegularBackend)
#else
#define WARDEN_IS_SESSION(proc) (!(proc)->isBackgroundWorker)
#endif

/* 16: the list of settings tells its length. */
#include "utils/guc_tables.h"
#if PG_VERSION_NUM >= 160000
#define WARDEN_SETTINGS(count) get_guc_variables(count)
#else
#define WARDEN_SETTINGS(count) (*(count) = GetNumConfigOptions(), get_guc_variables())
#endif

/* 17: a backend's status is found by its process number. */
#if PG_VERSION_NUM >= 170000
#define WARDEN_LEADER_STATUS() pgstat_get_beentry_by_proc_number(ParallelLeaderProcNumber)
#else
#define WARDEN_LEADER_STATUS() pgstat_fetch_stat_beentry(ParallelLeaderBackendId)
#endif

/* 17: asking for a lock may be content with a stronger one. */
#if PG_VERSION_NUM >= 170000
#define WARDEN_LOCK_HELD(tag, mode) LockHeldByMe((tag), (mode), true)
#else
#define WARDEN_LOCK_HELD(tag, mode) LockHeldByMe((tag), (mode))
#endif

/* 16: what a check hook hands to its assign hook is the settings' memory, not malloc's. */
#if PG_VERSION_NUM >= 160000
#define WARDEN_GUC_MALLOC(size) guc_malloc(LOG, (size))
#else
#define WARDEN_GUC_MALLOC(size) malloc(size)
#endif

/* 16: the query jumble moved and needs no text. */
#if PG_VERSION_NUM >= 160000
#include "nodes/queryjumble.h"
#define WARDEN_JUMBLE(query, text) JumbleQuery(query)
#else
#include "utils/queryjumble.h"
#define WARDEN_JUMBLE(query, text) JumbleQuery((query), (text))
#endif

/* 18: ExecutorRun lost execute_once. */
#if PG_VERSION_NUM >= 180000
#define WARDEN_RUN_ARGS QueryDesc *queryDesc, ScanDirection direction, uint64 count
#define WARDEN_RUN_PASS queryDesc, direction, count
#else
#define WARDEN_RUN_ARGS QueryDesc *queryDesc, ScanDirection direction, uint64 count, bool execute_once
#define WARDEN_RUN_PASS queryDesc, direction, count, execute_once
#endif

/* 18: operators are interpreted for every ordering index, not for btree alone. True for <=, =, >=. */
static inline bool
warden_operator_is_reflexive(Oid operator)
{
	ListCell   *cell;
	bool		found = false;

#if PG_VERSION_NUM >= 180000
	foreach(cell, get_op_index_interpretation(operator))
	{
		CompareType type = ((OpIndexInterpretation *) lfirst(cell))->cmptype;

		found |= type == COMPARE_LE || type == COMPARE_EQ || type == COMPARE_GE;
	}
#else
	foreach(cell, get_op_btree_interpretation(operator))
	{
		int			strategy = ((OpBtreeInterpretation *) lfirst(cell))->strategy;

		found |= strategy == BTLessEqualStrategyNumber || strategy == BTEqualStrategyNumber ||
			strategy == BTGreaterEqualStrategyNumber;
	}
#endif
	return found;
}

/* 18: the same of comparisons of rows. */
#if PG_VERSION_NUM >= 180000
#define warden_row_compare_is_reflexive(expr) ((expr)->cmptype == COMPARE_LE || (expr)->cmptype == COMPARE_GE)
#else
#define warden_row_compare_is_reflexive(expr) ((expr)->rctype == ROWCOMPARE_LE || (expr)->rctype == ROWCOMPARE_GE)
#endif

/* 16: index insertion may be told to touch summarizing indexes only. */
#if PG_VERSION_NUM >= 160000
#define WARDEN_INSERT_INDEXES(info, slot, estate) \
	ExecInsertIndexTuples((info), (slot), (estate), false, false, NULL, NIL, false)
#else
#define WARDEN_INSERT_INDEXES(info, slot, estate) \
	ExecInsertIndexTuples((info), (slot), (estate), false, false, NULL, NIL)
#endif

/* 16: a view's reference keeps the view's OID; before, the first entry of its body is the view as OLD. */
#if PG_VERSION_NUM >= 160000
#define WARDEN_VIEW_OF(rte) ((rte)->relkind == RELKIND_VIEW ? (rte)->relid : InvalidOid)
#else
static inline Oid
warden_view_of(RangeTblEntry *rte)
{
	RangeTblEntry *old = rte->subquery->rtable ? linitial_node(RangeTblEntry, rte->subquery->rtable) : NULL;

	return old != NULL && old->rtekind == RTE_RELATION && old->relkind == RELKIND_VIEW && !old->inFromCl ?
		old->relid : InvalidOid;
}
#define WARDEN_VIEW_OF(rte) warden_view_of(rte)
#endif

/* 16: one function tells what a role may do with an object of any kind. */
#if PG_VERSION_NUM >= 160000
#define WARDEN_MAY_SEE_SCHEMA(schema, role) \
	(object_aclcheck(NamespaceRelationId, (schema), (role), ACL_USAGE) == ACLCHECK_OK)
#else
#define WARDEN_MAY_SEE_SCHEMA(schema, role) (pg_namespace_aclcheck((schema), (role), ACL_USAGE) == ACLCHECK_OK)
#endif

/* 16: the same for functions. */
#if PG_VERSION_NUM >= 160000
#include "catalog/pg_proc.h"
#define WARDEN_MAY_EXECUTE(function, role) \
	(object_aclcheck(ProcedureRelationId, (function), (role), ACL_EXECUTE) == ACLCHECK_OK)
#else
#define WARDEN_MAY_EXECUTE(function, role) (pg_proc_aclcheck((function), (role), ACL_EXECUTE) == ACLCHECK_OK)
#endif

/* 16: one function tells who owns an object of any kind. */
#if PG_VERSION_NUM >= 160000
#include "catalog/pg_namespace.h"
#define WARDEN_OWNS_RELATION(relid, role) object_ownercheck(RelationRelationId, (relid), (role))
#define WARDEN_OWNS_SCHEMA(schema, role) object_ownercheck(NamespaceRelationId, (schema), (role))
#else
#define WARDEN_OWNS_RELATION(relid, role) pg_class_ownercheck((relid), (role))
#define WARDEN_OWNS_SCHEMA(schema, role) pg_namespace_ownercheck((schema), (role))
#endif

/* 17: MERGE acts on rows of the target without a partner, too. */
#if PG_VERSION_NUM >= 170000
#define WARDEN_ACTS_ON_UNMATCHED(action) ((action)->matchKind == MERGE_WHEN_NOT_MATCHED_BY_SOURCE)
#else
#define WARDEN_ACTS_ON_UNMATCHED(action) ((void) (action), false)
#endif

/* 17: ALTER COLUMN … SET EXPRESSION, the raw expression being what the command defines. */
#if PG_VERSION_NUM >= 170000
#define WARDEN_SETS_EXPRESSION(command) ((command)->subtype == AT_SetExpression)
#else
#define WARDEN_SETS_EXPRESSION(command) ((void) (command), false)
#endif

/* 17: the join condition of a MERGE has a place of its own; before, it is in the join tree. */
#if PG_VERSION_NUM >= 170000
#define WARDEN_MERGE_CONDITION(query) ((query)->mergeJoinCondition)
#else
#define WARDEN_MERGE_CONDITION(query) ((Node *) NULL)
#endif

/* 18: grouped expressions stand behind a range table entry of their own. */
#if PG_VERSION_NUM >= 180000
#define WARDEN_GROUP_EXPRESSIONS(rte) ((rte)->rtekind == RTE_GROUP ? (rte)->groupexprs : NIL)
#else
#define WARDEN_GROUP_EXPRESSIONS(rte) ((void) (rte), NIL)
#endif

/* 18: RETURNING can name the row before and after the change. */
#if PG_VERSION_NUM >= 180000
#define WARDEN_VAR_IS_PLAIN(var) ((var)->varreturningtype == VAR_RETURNING_DEFAULT)
#else
#define WARDEN_VAR_IS_PLAIN(var) true
#endif

/* 16: files of relations have numbers and locators of their own names. */
#include "miscadmin.h"
#include "storage/smgr.h"
#if PG_VERSION_NUM >= 160000
typedef RelFileLocator WardenFile;
#else
typedef RelFileNode WardenFile;
#endif

/* 17: the process number that says "no temporary table". */
#if PG_VERSION_NUM >= 170000
#define WARDEN_NO_PROCESS INVALID_PROC_NUMBER
#else
#define WARDEN_NO_PROCESS InvalidBackendId
#endif

/* 16: who the client proved to be is kept apart from its Port, for parallel workers. For users of client_port.h. */
#if PG_VERSION_NUM >= 160000
#define WARDEN_AUTHN_ID(port) ((void) (port), MyClientConnectionInfo.authn_id)
#else
#define WARDEN_AUTHN_ID(port) ((port)->authn_id)
#endif

/* Every function of a name. Beyond 18 the look-up tells more than we ask for. */
#define WARDEN_FUNCTION_CANDIDATES(names) FuncnameGetCandidates((names), -1, NIL, false, false, false, true)

#endif
