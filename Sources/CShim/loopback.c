/*
 * Does a new session come from inside this server? dblink, postgres_fdw or any other client library that runs in a
 * backend would leave its session's identity, masks and transaction behind by connecting to its own server. It is
 * seen on the accepting side, by who holds the other end of the connection, never by a connection string.
 *
 * Of a Unix socket the kernel tells the process. Of a TCP connection it does not: the other socket is looked up in the
 * kernel's table, then among the files of backends. That is done for connections from an address of this machine, and
 * for backends alone that may be clients: those that have run code of a library, or that are in an ungoverned database.
 * Background workers are let by: pg_cron and replication connect to their own server by trade.
 *
 * Flags are written by their own process alone, and read without a lock: one that is missed for a moment belongs to a
 * process that has not called its library yet.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "client_port.h"
#include "shim.h"

#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

/* Sockets of a host that stand for one connection: more than one where another address family has the same ports. */
#define MOST_SOCKETS 8

static bool *client_flags = NULL;
static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

static void
request(void)
{
	if (previous_request)
		previous_request();
	RequestAddinShmemSpace(MAXALIGN(MaxBackends));
}

static void
startup(void)
{
	bool		found;

	if (previous_startup)
		previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	client_flags = ShmemInitStruct("pg_warden clients", MAXALIGN(MaxBackends), &found);
	if (!found)
		memset(client_flags, 0, MaxBackends);
	LWLockRelease(AddinShmemInitLock);
}

/* The next process in this place starts without a history. */
static void
forget(int code, Datum arg)
{
	(void) code;
	client_flags[DatumGetInt32(arg)] = false;
}

void
warden_may_be_client(void)
{
	static bool flagged = false;
	int			number;

	if (likely(flagged) || client_flags == NULL)
		return;
	number = (int) (MyProc - ProcGlobal->allProcs);
	if (number >= MaxBackends)
		return;
	flagged = true;
	client_flags[number] = true;
	on_shmem_exit(forget, Int32GetDatum(number));
}

/* A client's session, or a process that does a part of its work. */
static bool
acts_for_client(const PGPROC *proc)
{
	return WARDEN_IS_SESSION(proc) || proc->lockGroupLeader != NULL;
}

/* --- Unix sockets --- */

static bool
is_own_process(int socket)
{
#ifdef SO_PEERCRED
	struct ucred peer;
	socklen_t	length = sizeof(peer);
	PGPROC	   *proc;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.pid <= 0)
		return false;
	proc = BackendPidGetProc(peer.pid);
	return proc != NULL && acts_for_client(proc);
#else
	(void) socket;
	return false;
#endif
}

/* --- TCP --- */

/* One end of a connection as the kernel's table has it: the last four bytes of the address, and the port. */
typedef struct End
{
	uint32		address;
	unsigned	port;
} End;

static bool
end_of(const SockAddr *from, End *end)
{
	const struct sockaddr *address = (const struct sockaddr *) &from->addr;

	if (address->sa_family == AF_INET)
	{
		end->address = ((const struct sockaddr_in *) address)->sin_addr.s_addr;
		end->port = ntohs(((const struct sockaddr_in *) address)->sin_port);
		return true;
	}
	if (address->sa_family != AF_INET6)
		return false;
	memcpy(&end->address, ((const struct sockaddr_in6 *) address)->sin6_addr.s6_addr + 12, sizeof(end->address));
	end->port = ntohs(((const struct sockaddr_in6 *) address)->sin6_port);
	return true;
}

/* 127.0.0.0/8, ::1, and whatever this machine calls itself by. */
static bool
is_local(const SockAddr *remote, const SockAddr *local)
{
	End			there;
	End			here;

	if (!end_of(remote, &there) || !end_of(local, &here))
		return false;
	return there.address == here.address || (ntohl(there.address) >> 24) == 127;
}

/* Inodes of the sockets whose own end is `there` and whose other end is ours. */
static int
find_sockets(const char *table, const End *there, const End *here, unsigned long *inodes, int count)
{
	FILE	   *file = AllocateFile(table, "r");
	char		line[512];

	if (file == NULL)
		return count;
	while (count < MOST_SOCKETS && fgets(line, sizeof(line), file) != NULL)
	{
		char		own[64];
		char		other[64];
		unsigned	own_port;
		unsigned	other_port;
		unsigned long inode;

		if (sscanf(line, " %*d: %40[0-9A-Fa-f]:%x %40[0-9A-Fa-f]:%x %*x %*x:%*x %*x:%*x %*x %*u %*u %lu",
				   own, &own_port, other, &other_port, &inode) != 5)
			continue;
		if (own_port == there->port && other_port == here->port && strlen(own) >= 8 &&
			strtoul(own + strlen(own) - 8, NULL, 16) == there->address)
			inodes[count++] = inode;
	}
	FreeFile(file);
	return count;
}

static bool
holds_socket(int pid, const unsigned long *inodes, int count)
{
	char		path[64];
	DIR		   *directory;
	struct dirent *entry;
	bool		found = false;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	directory = AllocateDir(path);
	if (directory == NULL)
		return false;
	while (!found && (entry = ReadDirExtended(directory, path, DEBUG1)) != NULL)
	{
		char		link[64 + sizeof(entry->d_name)];
		char		target[64];
		ssize_t		length;
		unsigned long inode;

		snprintf(link, sizeof(link), "%s/%s", path, entry->d_name);
		length = readlink(link, target, sizeof(target) - 1);
		if (length <= 0)
			continue;
		target[length] = '\0';
		if (sscanf(target, "socket:[%lu]", &inode) != 1)
			continue;
		for (int i = 0; i < count; i++)
			found |= inodes[i] == inode;
	}
	FreeDir(directory);
	return found;
}

/* The sessions whose code may have opened the connection; in the current memory context. */
static List *
possible_clients(void)
{
	List	   *pids = NIL;

	for (int i = 0; i < MaxBackends; i++)
	{
		volatile PGPROC *proc = &ProcGlobal->allProcs[i];
		int			pid = proc->pid;

		if (pid == 0 || pid == MyProcPid || !acts_for_client((const PGPROC *) proc))
			continue;
		if (client_flags[i] || warden_database_slot(proc->databaseId, false) < 0)
			pids = lappend_int(pids, pid);
	}
	return pids;
}

static bool
is_own_connection(const SockAddr *remote, const SockAddr *local)
{
	unsigned long inodes[MOST_SOCKETS];
	List	   *pids;
	ListCell   *cell;
	End			there;
	End			here;
	int			count;

	if (!is_local(remote, local) || !end_of(remote, &there) || !end_of(local, &here))
		return false;
	pids = possible_clients();
	if (likely(pids == NIL))
		return false;
	count = find_sockets("/proc/net/tcp", &there, &here, inodes, 0);
	count = find_sockets("/proc/net/tcp6", &there, &here, inodes, count);
	foreach(cell, pids)
		if (count > 0 && holds_socket(lfirst_int(cell), inodes, count))
			return true;
	return false;
}

bool
warden_peer_is_backend(void)
{
	Port	   *port = MyProcPort;

	if (port == NULL || client_flags == NULL)
		return false;
	if (((const struct sockaddr *) &port->raddr.addr)->sa_family == AF_UNIX)
		return is_own_process(port->sock);
	return is_own_connection(&port->raddr, &port->laddr);
}

void
warden_loopback_install(void)
{
	previous_request = shmem_request_hook;
	shmem_request_hook = request;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = startup;
}
