import Testing

extension ServerTests {
  /// Roads from SQL to the host: by the server's functions, languages, libraries and foreign tables, whatever stands
  /// between the statement and them.
  @Suite struct HostTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      let shop = try Shop(Clusters.governed(), database: "host")
      try shop.connect().query(setup)
      return shop
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    /// What was there before pg_warden: a language that is not trusted, functions in it, extensions.
    private static let setup = """
      SELECT warden.break_glass('what the tests need');
      CREATE EXTENSION adminpack; CREATE EXTENSION pageinspect; CREATE EXTENSION file_fdw;
      CREATE LANGUAGE plhost HANDLER plpgsql_call_handler INLINE plpgsql_inline_handler VALIDATOR plpgsql_validator;
      CREATE SCHEMA host;
      CREATE TABLE host.notes (id int, note text);
      CREATE FUNCTION host.by_language() RETURNS int LANGUAGE plhost AS 'BEGIN RETURN 1; END';
      CREATE FUNCTION host.on_insert() RETURNS trigger LANGUAGE plhost AS 'BEGIN RETURN NEW; END';
      CREATE TABLE host.traps (id int);
      CREATE TRIGGER t BEFORE INSERT ON host.traps FOR EACH ROW EXECUTE FUNCTION host.on_insert();
      CREATE FUNCTION host.read(text) RETURNS text LANGUAGE internal AS 'pg_read_file_all';
      CREATE FUNCTION host.root(float8) RETURNS float8 LANGUAGE internal AS 'dsqrt';
      CREATE FUNCTION host.page(text, int8) RETURNS bytea LANGUAGE c AS '$libdir/pageinspect', 'get_raw_page_1_9';
      CREATE VIEW host.rules AS SELECT * FROM pg_hba_file_rules;
      CREATE OPERATOR !!! (RIGHTARG = text, FUNCTION = pg_read_file);
      CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
      CREATE FOREIGN TABLE host.file (line text) SERVER files OPTIONS (filename '/etc/hostname');
      CREATE FOREIGN TABLE host.program (line text) SERVER files OPTIONS (program 'echo x');
      CREATE TABLE host.parts (line text) PARTITION BY LIST (line);
      CREATE FOREIGN TABLE host.part PARTITION OF host.parts DEFAULT SERVER files OPTIONS (filename '/etc/hostname');
      SELECT warden.break_glass_end();
      """

    static let roads = [
      "SELECT pg_read_file('/etc/hostname')",
      "SELECT pg_read_binary_file('/etc/hostname', 0, 10, true)",
      "SELECT * FROM pg_ls_dir('.')",
      "SELECT * FROM pg_ls_waldir()",
      "SELECT * FROM pg_ls_logdir()",
      "SELECT * FROM pg_ls_tmpdir()",
      "SELECT * FROM pg_ls_archive_statusdir()",
      "SELECT * FROM pg_ls_replslotdir('x')",
      "SELECT pg_stat_file('PG_VERSION')",
      "SELECT * FROM pg_hba_file_rules",
      "SELECT * FROM pg_ident_file_mappings",
      "SELECT * FROM pg_file_settings",
      "SELECT * FROM host.rules",
      "SELECT lo_import('/etc/hostname')",
      "SELECT lo_export(1, '/tmp/x')",
      "SELECT !!! '/etc/hostname'",
      "DO $$BEGIN PERFORM pg_read_file('/etc/hostname'); END$$",
      "DO $$DECLARE x text := pg_read_file('/etc/hostname'); BEGIN END$$",
      "SELECT query_to_xml('SELECT pg_read_file(''/etc/hostname'')', true, true, '')",
      "CREATE TABLE host.copied (x text DEFAULT pg_read_file('/etc/hostname')); INSERT INTO host.copied VALUES (DEFAULT)",
      "SELECT * FROM pg_logical_slot_peek_changes('x', NULL, NULL)",
      "SELECT pg_create_logical_replication_slot('x', 'test_decoding')",
      "SELECT pg_file_write('x', 'y', false)",
      "SELECT get_raw_page('host.notes', 0)",
      "SELECT host.read('/etc/hostname')",
      "SELECT host.page('host.notes', 0)",
      "SELECT host.by_language()",
      "PREPARE p AS SELECT host.by_language(); EXECUTE p",
      "INSERT INTO host.traps VALUES (1)",
      "COPY (SELECT host.by_language()) TO STDOUT",
      "SELECT * FROM host.file",
      "SELECT * FROM host.program",
      "SELECT * FROM host.parts",
      "INSERT INTO host.notes SELECT 1, line FROM host.file",
      "ANALYZE host.file",
      "COPY host.notes TO '/tmp/x'",
      "COPY host.notes FROM PROGRAM 'echo'",
      "COPY (SELECT 1) TO PROGRAM 'cat'",
      "CREATE FOREIGN TABLE host.other (line text) SERVER files OPTIONS (filename '/etc/hostname')",
      "ALTER FOREIGN TABLE host.file OPTIONS (SET filename '/etc/passwd')",
      "ALTER TABLE host.file OPTIONS (SET filename '/etc/passwd')",
      "CREATE FUNCTION host.other() RETURNS int LANGUAGE plhost AS 'BEGIN RETURN 1; END'",
      "DO LANGUAGE plhost 'BEGIN END'",
      "CREATE FUNCTION host.other() RETURNS int LANGUAGE internal AS 'pg_backend_pid'",
      "CREATE FUNCTION host.other() RETURNS int LANGUAGE c AS 'x', 'y'",
      "CREATE OPERATOR CLASS host.c FOR TYPE text USING btree AS FUNCTION 1 pg_read_file(text)",
      "CREATE LANGUAGE other HANDLER plpgsql_call_handler",
      "CREATE TRUSTED LANGUAGE other HANDLER plpgsql_call_handler",
      "ALTER LANGUAGE plhost RENAME TO plpython3u",
      "CREATE ACCESS METHOD other TYPE INDEX HANDLER bthandler",
      "CREATE FOREIGN DATA WRAPPER other",
      "ALTER FOREIGN DATA WRAPPER file_fdw OPTIONS (ADD x 'y')",
      "CREATE EXTENSION dblink",
      "LOAD 'plpgsql'",
      "ALTER SYSTEM SET work_mem = '1MB'", "ALTER ROLE analyst SET session_preload_libraries = 'auto_explain'",
      "ALTER DATABASE host SET local_preload_libraries = 'x'",
      "GRANT pg_read_server_files TO analyst",
      "GRANT pg_monitor, pg_execute_server_program TO analyst",
      "ALTER GROUP pg_write_server_files ADD USER analyst",
      "CREATE ROLE other IN ROLE pg_read_server_files",
    ]

    @Test(arguments: roads) func roadToTheHostIsRefused(_ sql: String) throws {
      try shop.expectRefusal(of: sql, by: "server-escape", on: try shop.connect())
    }

    static let harmless = [
      "SELECT host.root(4)", "SELECT pg_current_logfile()", "SELECT pg_reload_conf()", "SELECT * FROM pg_settings",
      "SELECT pg_size_pretty(pg_database_size('host'))", "SELECT * FROM pg_stat_activity", "DO 'BEGIN END'",
      "CREATE FUNCTION shop.plain() RETURNS int LANGUAGE sql AS 'SELECT 1'", "ANALYZE host.notes",
      "GRANT pg_monitor TO analyst; REVOKE pg_monitor FROM analyst", "REVOKE pg_read_server_files FROM analyst",
      "SELECT pg_walfile_name(pg_current_wal_lsn())", "SELECT * FROM pg_available_extensions",
      "SELECT lo_unlink(lo_from_bytea(0, 'x'))",
    ]

    @Test(arguments: harmless) func whatStaysInsideRuns(_ sql: String) throws {
      #expect(try shop.connect().error(sql) == nil)
    }

    @Test func optionsOfASessionLoadNothing() throws {
      let error = #expect(throws: ServerError.self) {
        try shop.connect(options: "-c session_preload_libraries=auto_explain")
      }
      #expect(error?.message.contains("Guard \"server-escape\"") == true)
      #expect(try shop.audit(where: "event = 'auth_failed' AND guard = 'server-escape'").count == 1)
    }

    @Test func refusalNamesTheFunction() throws {
      let error = try #require(try shop.connect().error("SELECT * FROM host.rules"))
      #expect(error.message.contains("pg_hba_file_rules") && error.detail.contains("server_file"))
    }

    @Test func leaveForARoleOpensTheRoad() throws {
      try shop.connect().query(
        """
        GRANT pg_monitor TO analyst;
        SELECT warden.guard('monitoring', 'allow', '{server_file}', '{*}', '{role:pg_monitor}', priority => 1);
        """)
      #expect(try shop.connect("analyst").error("SELECT count(*) FROM pg_ls_waldir()") == nil)
      try shop.expectRefusal(of: "SELECT pg_ls_waldir()", by: "server-escape", on: try shop.connect())
      try shop.connect().query("REVOKE pg_monitor FROM analyst")
    }
  }
}
