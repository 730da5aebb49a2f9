import Testing

/// What the writer makes of records: rows that keep only what differs, in tables that may be locked, in databases of any
/// encoding; and nothing of that stops it for good.
extension ServerTests {
  @Suite struct AuditWriterTests {
    /// A governed database of its own name; in a cluster of its own where the test stops the server.
    private func governed(_ database: String, _ own: [String]? = nil, options: String = "") throws -> (
      Cluster, Connection
    ) {
      let cluster = try own.map { try Cluster([Clusters.preload] + $0) } ?? Clusters.governed()
      try cluster.connect().query("CREATE DATABASE \(database) TEMPLATE template0 \(options)")
      let admin = try cluster.connect(database: database)
      try admin.query("CREATE EXTENSION pg_warden")
      try admin.query("SELECT warden.flush()")
      return (cluster, admin)
    }

    private func expectUnbroken(_ admin: Connection, sourceLocation: SourceLocation = #_sourceLocation) throws {
      try admin.query("SELECT warden.flush()")
      let verdict = try admin.query("SELECT ok, problem FROM warden.verify_audit()")
      #expect(verdict.rows.first?.first == "t", "\(verdict.text)", sourceLocation: sourceLocation)
    }

    /// Runs `sql` as superuser while the server runs without pg_warden.
    private func behindTheServersBack(_ cluster: Cluster, _ database: String, _ sql: String) throws -> Connection {
      try cluster.configure(["shared_preload_libraries = ''"])
      try cluster.restart()
      try cluster.connect(database: database).query(sql)
      try cluster.configure([Clusters.preload])
      try cluster.restart()
      return try cluster.connect(database: database)
    }

    @Test func whatComesAgainIsStoredOnce() throws {
      let (_, admin) = try governed("trail_repeating")
      try admin.query("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
      for _ in 0..<5 { try admin.query("SELECT 'again' FROM t") }
      for number in 0..<5 { try admin.query("SELECT id FROM t WHERE id = \(number)") }
      try admin.query("SELECT warden.flush()")

      let log = try admin.query(
        """
        SELECT DISTINCT statement, statement_hash IS NOT NULL, class, command FROM warden.audit_log
         WHERE statement LIKE 'SELECT ''again''%' OR statement LIKE 'SELECT id FROM t%' ORDER BY 1
        """)
      #expect(log.rows.count == 6 && log.rows.allSatisfy { $0[1] == "t" && $0[2] == "read" && $0[3] == "SELECT" })
      let touched = try admin.query(
        """
        SELECT count(*) FROM warden.audit_access a JOIN warden.audit_log l USING (seq)
         WHERE l.statement LIKE 'SELECT%FROM t%' AND a.relation = 'public.t' AND a.action = 'read'
        """)
      #expect(touched.value == "10")

      let own =
        "SELECT count(*), count(r.statement), count(r.access), count(r.statement_hash) FROM warden.audit_record r"
      // The first time all stands in the record, from the second time on in the shape.
      let again = try admin.query(
        """
        \(own) JOIN warden.audit_shape s ON s.id = r.shape
         WHERE COALESCE(r.statement, s.statement) LIKE 'SELECT ''again''%'
        """)
      #expect(again.rows.first == ["5", "1", "1", "1"], "\(again.text)")
      // Texts that differ stay in their records.
      let different = try admin.query("\(own) WHERE r.statement LIKE 'SELECT id FROM t%'")
      #expect(different.rows.first == ["5", "5", "1", "1"], "\(different.text)")
      try expectUnbroken(admin)
    }

    /// An orderly stop leaves nothing in the spool: the table is whole for who starts the server without the library.
    @Test func anOrderlyStopWritesWhatThereIs() throws {
      let (cluster, admin) = try governed("trail_stopping", ["warden.flush_interval = '60s'"])
      try admin.query("SELECT warden.flush()")
      for number in 1...20 { try admin.query("SELECT 'before the stop' AS n\(number)") }
      try cluster.configure(["shared_preload_libraries = ''"])
      try cluster.restart()
      let bare = try cluster.connect(database: "trail_stopping")
      let written = try bare.query(
        "SELECT count(*) FROM warden.audit_record WHERE statement LIKE 'SELECT ''before the stop'' AS n%'")
      #expect(written.value == "20")
    }

    /// What the chain goes on from cannot be read: statements are refused, logins are not, and the configuration file helps.
    @Test(arguments: ["head = '\\x00'", "last_seq = -5"]) func aDamagedChainLocksNobodyOut(_ damage: String) throws {
      let (cluster, _) = try governed("trail_damaged", [])
      let session = try behindTheServersBack(cluster, "trail_damaged", "UPDATE warden.audit_chain SET \(damage)")
      let refusal = try #require(session.error("SELECT 1"))
      #expect(refusal.sqlstate == "XX001" && refusal.hint.contains("warden.audit"), "\(refusal.text)")
      try cluster.configure(["warden.audit = 'none'"])
      try cluster.restart()
      #expect(try cluster.connect(database: "trail_damaged").query("SELECT 2").value == "2")
      #expect(try cluster.connect(database: "trail_damaged").error("ALTER SYSTEM RESET warden.mode") != nil)
    }

    @Test func textsThatNeverComeAgainTakeNoShapes() throws {
      let (_, admin) = try governed("trail_endless")
      try admin.query("CREATE TABLE t (id int)")
      for number in 0..<300 { try admin.query("SELECT id FROM t WHERE id = \(number)") }
      for number in 0..<300 { try admin.query("COMMENT ON TABLE t IS 'note \(number)'") }
      try admin.query("SELECT warden.flush()")
      let shapes = Int(try admin.query("SELECT count(*) FROM warden.audit_shape").value ?? "") ?? .max
      #expect(shapes < 50)
      try expectUnbroken(admin)
    }

    @Test func tomorrowsPartitionIsThereBeforeItIsNeeded() throws {
      let (_, admin) = try governed("trail_ahead")
      try waitUntil("tomorrow's partition is there") {
        try admin.query(
          """
          SELECT count(*) FROM pg_inherits WHERE inhparent = 'warden.audit_record'::regclass AND inhrelid::regclass::text =
            'warden.audit_record_' || to_char((now() + interval '1 day') AT TIME ZONE 'UTC', 'YYYYMMDD')
          """
        ).value == "1"
      }
      // Made as the others are: protected, and gone with the extension.
      let triggers = try admin.query(
        """
        SELECT DISTINCT count(*) FROM pg_trigger t JOIN pg_inherits ON inhrelid = tgrelid
         WHERE inhparent = 'warden.audit_record'::regclass AND tgenabled = 'A' GROUP BY tgrelid
        """)
      #expect(triggers.rows == [["1"]], "\(triggers.text)")
      let members = try admin.query(
        """
        SELECT count(*) FROM pg_inherits WHERE inhparent = 'warden.audit_record'::regclass AND NOT EXISTS
          (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = inhrelid AND deptype = 'e')
        """)
      #expect(members.value == "0")
    }

    /// A partition is made while the audit is being read, by a transaction that stays open.
    @Test func readersDoNotHoldUpPartitions() throws {
      let (cluster, admin) = try governed("trail_readers", [])
      try admin.query("SELECT warden.flush()")
      let today = try admin.query(
        "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'warden.audit_record'::regclass ORDER BY 1"
      )
      .rows.compactMap { $0[0] }
      let dropped = try #require(today.last)
      let again = try behindTheServersBack(
        cluster, "trail_readers",
        "ALTER EXTENSION pg_warden DROP TABLE \(dropped); ALTER TABLE warden.audit_record DETACH PARTITION \(dropped); DROP TABLE \(dropped)"
      )
      let reader = try cluster.connect(database: "trail_readers")
      try reader.query("BEGIN; SELECT count(*) FROM warden.audit_log")
      try waitUntil("the partition is there again") {
        try again.query("SELECT warden.flush()")
        return try again.query("SELECT to_regclass($1)", dropped).value != nil
      }
      try reader.query("COMMIT")
    }

    @Test func aLockedTableIsToldOnceAndLosesNothing() throws {
      let (cluster, admin) = try governed("trail_locked", ["max_prepared_transactions = 2"])
      for number in 0..<20 { try admin.query("SELECT \(number) AS before") }
      try admin.query("SELECT warden.flush()")
      // A prepared transaction: it holds its lock over the restart.
      let again = try behindTheServersBack(
        cluster, "trail_locked",
        """
        DO $$ DECLARE p regclass; BEGIN
          FOR p IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'warden.audit_record'::regclass LOOP
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', p);
          END LOOP;
        END $$;
        """.replacingOccurrences(of: "DO $$", with: "BEGIN; DO $$") + "PREPARE TRANSACTION 'holder'")
      for number in 0..<20 { try again.query("SELECT \(number) AS meanwhile") }
      func told() -> Int { cluster.log().components(separatedBy: "pg_warden cannot write the audit").count - 1 }
      try waitUntil("the log tells of it") { told() > 0 }
      #expect(cluster.log().contains("HINT:  A session or a prepared transaction holds a lock on the audit's tables"))
      #expect(again.error("SELECT warden.flush('7 seconds')")?.sqlstate == "57014")
      #expect(told() == 1)
      try again.query("ROLLBACK PREPARED 'holder'")
      try again.query("SELECT warden.flush('60 seconds')")
      try waitUntil("the log tells that it is over") {
        cluster.log().contains("pg_warden writes the audit of database")
      }
      let found = try again.query(
        "SELECT count(*), count(DISTINCT statement) FROM warden.audit_log WHERE statement LIKE '%AS meanwhile'")
      #expect(found.rows.first == ["20", "20"])
      let holes = try again.query(
        "SELECT max(seq) - count(*), count(*) FILTER (WHERE event = 'gap') FROM warden.audit_log")
      #expect(holes.rows.first == ["0", "0"])
      try expectUnbroken(again)
    }

    @Test(arguments: [
      "ENCODING 'EUC_JP' LOCALE 'C'", "ENCODING 'LATIN1' LOCALE 'C'", "ENCODING 'SQL_ASCII' LOCALE 'C'",
      "ENCODING 'UTF8' LOCALE 'C'",
    ]) func anyEncodingIsWritten(_ options: String) throws {
      let (cluster, admin) = try governed(
        "trail_" + options.split(separator: "'")[1].lowercased(), options: options)
      let isJapanese = options.contains("EUC_JP")
      let character = isJapanese ? "\u{3042}" : "\u{e9}"
      if options.contains("SQL_ASCII") { try admin.query("SET client_encoding = 'SQL_ASCII'") }
      // Each length once, so that every cut falls into the middle of a character in one of them.
      for ascii in 0..<3 {
        let text = String(repeating: "x", count: ascii) + String(repeating: character, count: 9000)
        try admin.query("SELECT '\(text)' AS long")
        #expect(admin.error("DO $$BEGIN RAISE EXCEPTION '\(text)'; END$$")?.sqlstate == "P0001")
        try admin.query("CREATE TABLE \"t\(ascii)\(character)\" (\"c\(character)\" int)")
        try admin.query("SELECT \"c\(character)\" FROM \"t\(ascii)\(character)\"")
      }
      try expectUnbroken(admin)
      let found = try admin.query(
        "SELECT count(*), count(error) FROM warden.audit_log WHERE statement LIKE '%' || $1 || '%'", character)
      #expect(found.rows.first?.first.flatMap { $0 }.map { (Int($0) ?? 0) >= 12 } == true, "\(found.text)")
      #expect(found.rows.first?[1].map { (Int($0) ?? 0) >= 3 } == true, "\(found.text)")
      let oid = try #require(try admin.query("SELECT oid FROM pg_database WHERE datname = current_database()").value)
      #expect(!cluster.log().contains("pg_warden cannot write the audit of database \(oid)"))
    }

    /// What a statement was found to reach while it ran belongs to the statement, and is not its end.
    @Test func anAmendmentMayTellOfObjects() throws {
      let (cluster, admin) = try governed("trail_amended", [])
      try admin.query("CREATE TABLE t (id int)")
      try admin.query("SELECT warden.flush()")
      let again = try behindTheServersBack(
        cluster, "trail_amended",
        """
        WITH s AS (INSERT INTO warden.audit_shape (id, digest, class, command, decision) VALUES (100000, 'x', 'drop', 'DROP TABLE', 'allowed') RETURNING id)
        INSERT INTO warden.audit_record (seq, at, session, statement_no, duration, request_id, context, shape, event, outcome, access, statement, hash)
        SELECT 1000000, now(), 77, 5, NULL::bigint, NULL::bigint, 0, id, 's'::"char", 'o'::"char", NULL, 'DROP TABLE t CASCADE', ''::bytea FROM s
        UNION ALL SELECT 1000001, now(), 77, 5, NULL, 1000000, 0, id, 't', 'o',
          '[{"relation":"public.v","oid":9,"kind":"view","action":"drop","columns":[],"masked_columns":[],"via":"public.t"}]', NULL, ''::bytea FROM s
        UNION ALL SELECT 1000002, now(), 77, 5, 250, NULL, 0, id, 't', 'o', NULL, NULL, ''::bytea FROM s
        UNION ALL SELECT 1000003, now(), 77, 5, NULL, NULL, 0, id, 't', 'c', NULL, NULL, ''::bytea FROM s
        """)
      let reached = try again.query(
        "SELECT seq, relation, action, via FROM warden.audit_access WHERE relation = 'public.v'")
      #expect(reached.rows == [["1000000", "public.v", "drop", "public.t"]], "\(reached.text)")
      let ended = try again.query("SELECT outcome, duration_ms FROM warden.audit_log WHERE seq = 1000000")
      #expect(ended.rows == [["committed", "0.25"]], "\(ended.text)")
    }
  }
}
