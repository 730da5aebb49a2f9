/*
 * Making, finding and mapping the spool's file.
 *
 * A spool belongs to one cluster, at one place. A base backup carries a copy of the file along, torn, and with records
 * that the original writes into its own tables: wherever a data directory starts as a restored one or as a standby,
 * the spool found in it is set aside, and the counters go on from the tables. The same where the file is of another
 * system identifier, of a timeline that the cluster has left since, or makes no sense. It is renamed, not removed:
 * what it holds may be evidence.
 */
#include "spool_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "access/xlog.h"
#include "common/controldata_utils.h"
#include "common/file_perm.h"
#include "miscadmin.h"
#include "storage/fd.h"

#define SPOOL_DIRECTORY "pg_warden"
#define SPOOL_MAGIC UINT64CONST(0x326c6f6f70736477)	/* "wdspool2" */

/* --- the file --- */

static Size
spool_bytes(uint32 rings, uint64 ring_size)
{
	return SPOOL_PAGE * (Size) (1 + rings) + (Size) rings * ring_size;
}

static void
make_file(uint32 rings, uint64 ring_size)
{
	SpoolHeader header = {.magic = SPOOL_MAGIC, .ring_count = rings, .ring_size = ring_size,
	.system_identifier = GetSystemIdentifier()};
	int			fd = open(WARDEN_SPOOL_PATH ".new", O_RDWR | O_CREAT | O_TRUNC, pg_file_create_mode);
	int			failed;

	if (fd < 0)
		ereport(FATAL, (errcode_for_file_access(), errmsg("could not create file \"%s\": %m", WARDEN_SPOOL_PATH)));
	failed = posix_fallocate(fd, 0, (off_t) spool_bytes(rings, ring_size));
	if (failed != 0)
	{
		errno = failed;
		ereport(FATAL,
				(errcode_for_file_access(),
				 errmsg("could not allocate %zu bytes for \"%s\": %m", spool_bytes(rings, ring_size), WARDEN_SPOOL_PATH),
				 errhint("Free some disk space, or lower warden.spool_size or max_connections.")));
	}
	if (pg_pwrite(fd, &header, sizeof(header), 0) != (ssize_t) sizeof(header) || pg_fsync(fd) != 0 || close(fd) != 0)
		ereport(FATAL, (errcode_for_file_access(), errmsg("could not write file \"%s\": %m", WARDEN_SPOOL_PATH)));
	(void) durable_rename(WARDEN_SPOOL_PATH ".new", WARDEN_SPOOL_PATH, FATAL);
}

/* Gives MAP_FAILED where the file is no spool, and NULL where there is none. */
static SpoolHeader *
map_file(Size *size)
{
	int			fd = open(WARDEN_SPOOL_PATH, O_RDWR);
	struct stat status;
	SpoolHeader *mapped;

	if (fd < 0)
	{
		if (errno == ENOENT)
			return NULL;
		ereport(FATAL, (errcode_for_file_access(), errmsg("could not open file \"%s\": %m", WARDEN_SPOOL_PATH)));
	}
	if (fstat(fd, &status) != 0)
		ereport(FATAL, (errcode_for_file_access(), errmsg("could not stat file \"%s\": %m", WARDEN_SPOOL_PATH)));
	*size = (Size) status.st_size;
	mapped = *size < SPOOL_PAGE ? MAP_FAILED : mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mapped == MAP_FAILED)
		return *size < SPOOL_PAGE ? MAP_FAILED : NULL;
	if (mapped->magic == SPOOL_MAGIC && mapped->ring_count > 0 && mapped->ring_size <= *size &&
		spool_bytes(mapped->ring_count, mapped->ring_size) == *size)
		return mapped;
	munmap(mapped, *size);
	return MAP_FAILED;
}

/* --- whose it is --- */

static bool
is_there(const char *name)
{
	struct stat status;

	return stat(name, &status) == 0;
}

static uint32
cluster_timeline(void)
{
	bool		is_sound;
	ControlFileData *control = get_controlfile(DataDir, &is_sound);
	uint32		timeline = is_sound ? control->checkPointCopy.ThisTimeLineID : 0;

	pfree(control);
	return timeline;
}

/* Why the records in it are not this cluster's to write; NULL where they are. */
static const char *
foreign(const SpoolHeader *found)
{
	if (found->system_identifier != GetSystemIdentifier())
		return "it is of another cluster";
	if (is_there(BACKUP_LABEL_FILE) || is_there(RECOVERY_SIGNAL_FILE))
		return "this data directory is being restored from a backup";
	if (is_there(STANDBY_SIGNAL_FILE))
		return "this server is a standby";
	/* the control file may lag behind a promotion, never run ahead of one */
	if (found->timeline != 0 && cluster_timeline() > found->timeline)
		return "the cluster has gone on to another timeline without it";
	return NULL;
}

static bool
is_drained(SpoolHeader *found)
{
	for (uint32 i = 0; i < found->ring_count; i++)
	{
		WardenRing *ring = spool_ring(found, i);

		if (!ring_is_done_with(ring))
			return false;
	}
	return true;
}

static void
set_aside(const char *reason)
{
	char		path[MAXPGPATH];
	long long	stamp = (long long) time(NULL);

	do
		snprintf(path, sizeof(path), "%s.aside.%lld", WARDEN_SPOOL_PATH, stamp++);
	while (is_there(path));
	(void) durable_rename(WARDEN_SPOOL_PATH, path, FATAL);
	ereport(LOG,
			(errmsg("pg_warden set the spool of audit records aside as \"%s\": %s", path, reason),
			 errdetail("Records in it that were not yet in the audit table are not written here."),
			 errhint("Remove the file when it is not needed as evidence.")));
}

/* --- opening --- */

static SpoolHeader *
make_and_map(uint32 rings, uint64 ring_size)
{
	Size		size;
	SpoolHeader *made;

	make_file(rings, ring_size);
	made = map_file(&size);
	if (made == NULL || made == MAP_FAILED)
		ereport(FATAL, (errcode_for_file_access(), errmsg("could not map file \"%s\": %m", WARDEN_SPOOL_PATH)));
	return made;
}

static SpoolHeader *
resize(SpoolHeader *old, Size size, uint32 rings, uint64 ring_size)
{
	WardenSpoolDatabase databases[WARDEN_MAX_DATABASES];
	uint32		timeline = old->timeline;
	SpoolHeader *made;

	if (!is_drained(old))
	{
		ereport(LOG,
				(errmsg("pg_warden keeps its spool of %u rings until the records in it are written", old->ring_count),
				 errhint("The new size takes effect at a later start.")));
		return old;
	}
	memcpy(databases, old->databases, sizeof(databases));
	munmap(old, size);
	made = make_and_map(rings, ring_size);
	memcpy(made->databases, databases, sizeof(databases));
	made->timeline = timeline;
	return made;
}

SpoolHeader *
warden_spool_open(uint32 rings, uint64 ring_size)
{
	Size		size = 0;
	SpoolHeader *found;
	const char *reason;

	if (MakePGDirectory(SPOOL_DIRECTORY) != 0 && errno != EEXIST)
		ereport(FATAL, (errcode_for_file_access(), errmsg("could not create directory \"%s\": %m", SPOOL_DIRECTORY)));
	found = map_file(&size);
	if (found == NULL)
	{
		if (is_there(WARDEN_SPOOL_PATH))
			ereport(FATAL, (errcode_for_file_access(), errmsg("could not map file \"%s\": %m", WARDEN_SPOOL_PATH)));
		return make_and_map(rings, ring_size);
	}
	reason = found == MAP_FAILED ? "it is not a spool of this version of pg_warden" : foreign(found);
	if (reason != NULL)
	{
		bool		is_empty = found != MAP_FAILED && is_drained(found);

		if (found != MAP_FAILED)
			munmap(found, size);
		/* a standby starts many times: what holds nothing is replaced without a trace */
		if (!is_empty)
			set_aside(reason);
		return make_and_map(rings, ring_size);
	}
	if (found->ring_count != rings || found->ring_size != ring_size)
		return resize(found, size, rings, ring_size);
	return found;
}
