import Testing

extension ServerTests {
  /// Guards that name a partition, a child or a column, met by the road through the parent.
  @Suite struct PartitionGuardTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "partition_guards")
    }
    let shop: Shop
    let owner: Connection

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      owner = try shop.connect("shop_owner")
      // A partition whose columns are in another order, and a child.
      try owner.query(
        """
        CREATE TABLE shop.events_march (email text, day date NOT NULL, id int);
        ALTER TABLE shop.events ATTACH PARTITION shop.events_march FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
        INSERT INTO shop.events VALUES (4, '2026-03-10', 'd');
        CREATE TABLE shop.notes (id int, note text);
        CREATE TABLE shop.secret_notes (why text) INHERITS (shop.notes);
        INSERT INTO shop.secret_notes VALUES (1, 'a', 'b');
        """)
    }

    /// For the tables' owner: the harness looks at them, too.
    private func makeGuard(_ arguments: String) throws {
      try shop.connect().query("SELECT warden.guard(\(arguments), subjects => '{role:shop_owner}')")
    }

    static let reads = [
      "SELECT * FROM shop.events_january", "SELECT count(*) FROM shop.events",
      "SELECT * FROM shop.events WHERE day = '2026-01-10'", "COPY (SELECT * FROM shop.events) TO STDOUT",
      "SELECT * FROM shop.events WHERE day < (SELECT max(day) FROM shop.events_february)",
      "UPDATE shop.events SET id = 9 WHERE day = '2026-01-10' RETURNING *",
      "CREATE TABLE shop.copied AS SELECT * FROM shop.events", "DO 'BEGIN PERFORM count(*) FROM shop.events; END'",
      "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM shop.events",
    ]

    @Test(arguments: reads) func partitionIsReadThroughItsParent(_ sql: String) throws {
      try makeGuard("'no-january', 'block', '{read}', '{shop.events_january}'")
      try shop.expectRefusal(of: sql, by: "no-january", on: owner)
    }

    @Test func partitionsThatArePrunedAreNotRead() throws {
      try makeGuard("'no-january', 'block', '{read}', '{shop.events_january}'")
      #expect(try owner.query("SELECT count(*) FROM shop.events WHERE day = '2026-02-10'").value == "1")
      try owner.query(
        """
        SET plan_cache_mode = force_generic_plan;
        PREPARE q(date) AS SELECT count(*) FROM shop.events WHERE day = $1
        """)
      #expect(try owner.query("EXECUTE q('2026-02-10')").value == "1")
      try shop.expectRefusal(of: "EXECUTE q('2026-01-10')", by: "no-january", on: owner)
    }

    static let inserts = [
      "INSERT INTO shop.events_january VALUES (9, '2026-01-30')", "INSERT INTO shop.events VALUES (9, '2026-01-30')",
      "INSERT INTO shop.events VALUES (9, '2026-01-30') RETURNING id",
      "INSERT INTO shop.events VALUES (9, '2026-02-20'), (9, '2026-01-30')",
      "WITH i AS (INSERT INTO shop.events VALUES (9, '2026-01-30') RETURNING *) SELECT * FROM i",
      "UPDATE shop.events SET day = '2026-01-30' WHERE id = 3",
      "MERGE INTO shop.events e USING (VALUES (9)) v (i) ON v.i = e.id WHEN NOT MATCHED THEN INSERT VALUES (9, '2026-01-30')",
    ]

    @Test(arguments: inserts) func rowsAreRoutedThroughTheParent(_ sql: String) throws {
      try makeGuard("'january-is-closed', 'block', '{insert}', '{shop.events_january}'")
      try shop.expectRefusal(of: sql, by: "january-is-closed", on: owner)
      #expect(try owner.query("INSERT INTO shop.events VALUES (9, '2026-02-20')").affected == 1)
    }

    @Test(arguments: ["on", "off"]) func copiedRowsAreRouted(_ counted: String) throws {
      try makeGuard("'january-is-closed', 'block', '{insert}', '{shop.events_january}'")
      let before = try shop.contents()
      let superuser = try shop.connect()
      try superuser.query("SET track_counts = \(counted); SET ROLE shop_owner")
      let error = #expect(throws: ServerError.self) {
        try superuser.copyIn("COPY shop.events (id, day) FROM STDIN", "9\t2026-01-30\n")
      }
      #expect(error?.detail.contains("january-is-closed") == true)
      #expect(try shop.contents() == before)
      try superuser.copyIn("COPY shop.events (id, day) FROM STDIN", "9\t2026-02-20\n")
    }

    @Test func columnOfAPartitionIsThatOfItsParent() throws {
      try makeGuard("'no-mail', 'block', '{update}', '{shop.events_march.email}'")
      try shop.expectRefusal(of: "UPDATE shop.events SET email = 'x' WHERE id = 4", by: "no-mail", on: owner)
      #expect(try owner.query("UPDATE shop.events SET id = 5 WHERE id = 4").affected == 1)
      #expect(try owner.query("UPDATE shop.events SET email = 'x' WHERE day = '2026-01-10'").affected == 1)
    }

    static let writes = [
      "UPDATE shop.events SET email = 'x' WHERE id = 4", "UPDATE shop.events_march SET email = 'x' WHERE id = 4",
      "INSERT INTO shop.events (id, day, email) VALUES (1, '2026-03-01', 'x')",
      "INSERT INTO shop.events_march (day, email) VALUES ('2026-03-01', 'x')",
      "MERGE INTO shop.events e USING (VALUES (4)) v (i) ON v.i = e.id WHEN MATCHED THEN UPDATE SET email = 'x'",
    ]

    @Test(arguments: writes) func guardedColumnIsNotWritten(_ sql: String) throws {
      try makeGuard("'no-mail', 'block', '{insert,update}', '{shop.events.email}'")
      try shop.expectRefusal(of: sql, by: "no-mail", on: owner)
    }

    @Test func otherColumnsAreFree() throws {
      try makeGuard("'no-mail', 'block', '{insert,update}', '{shop.events.email}'")
      #expect(try owner.query("UPDATE shop.events SET id = 5 WHERE id = 4").affected == 1)
      #expect(try owner.query("UPDATE shop.events_march SET id = 6 WHERE id = 5").affected == 1)
      #expect(try owner.query("INSERT INTO shop.events (id, day) VALUES (7, '2026-03-02')").affected == 1)
      let merge = "MERGE INTO shop.events e USING (VALUES (7)) v (i) ON v.i = e.id WHEN MATCHED THEN UPDATE SET id = 8"
      #expect(try owner.query(merge).affected == 1)
    }

    @Test func columnOfAChildIsReadThroughItsParent() throws {
      try makeGuard("'no-note', 'block', '{read}', '{shop.secret_notes.note}'")
      try shop.expectRefusal(of: "SELECT note FROM shop.notes", by: "no-note", on: owner)
      #expect(try owner.query("SELECT id FROM shop.notes").value == "1")
      #expect(owner.error("SELECT note FROM ONLY shop.notes") == nil)
    }

    @Test func schemaOfAPartitionIsAsked() throws {
      try owner.query(
        "CREATE TABLE lab.events_april PARTITION OF shop.events FOR VALUES FROM ('2026-04-01') TO ('2026-05-01')")
      try makeGuard("'no-lab', 'block', '{read,insert}', '{lab.*}'")
      try shop.expectRefusal(of: "SELECT count(*) FROM shop.events", by: "no-lab", on: owner)
      try shop.expectRefusal(of: "INSERT INTO shop.events VALUES (1, '2026-04-01')", by: "no-lab", on: owner)
      #expect(owner.error("SELECT count(*) FROM shop.events WHERE day < '2026-04-01'") == nil)
    }
  }
}
