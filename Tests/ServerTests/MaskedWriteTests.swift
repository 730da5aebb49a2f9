import Testing

extension ServerTests {
  /// Writes by those who see masks: no condition reads what is masked, and no masked value replaces a real one.
  @Suite struct MaskedWriteTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "masked_writes")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.mask()
      try shop.admin.query(
        """
        SET ROLE shop_owner;
        CREATE TABLE shop.notes (id int PRIMARY KEY, email text, data json, amount numeric, tags text[], plain text);
        INSERT INTO shop.notes VALUES
          (1, 'annRAWMARK@raw.example', '{"a": 1}', 5, '{x}', 'p'), (2, NULL, NULL, NULL, NULL, 'q');
        GRANT ALL ON shop.notes TO analyst;
        RESET ROLE;
        SELECT warden.mask('shop.notes.' || c, m) FROM (VALUES
          ('email', 'email'), ('data', 'redact'), ('amount', 'redact'), ('tags', 'redact')) v (c, m);
        """)
    }

    private func notes() throws -> String {
      try shop.admin.query("SELECT n::text FROM shop.notes n ORDER BY id").text
    }

    private func expectRefusal(
      _ sql: String, _ message: String, _ role: String = "analyst", sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let before = try shop.contents() + notes()
      let error = try shop.connect(role).error(sql)
      #expect(
        error?.sqlstate == "42501" && error?.message.contains(message) == true && error?.hint.isEmpty == false,
        "\(sql): \(error?.text ?? "no error")", sourceLocation: sourceLocation)
      #expect(error?.text.contains(Shop.mark) != true, sourceLocation: sourceLocation)
      try #expect(shop.contents() + notes() == before, "\(sql) changed data", sourceLocation: sourceLocation)
    }
  }
}

// MARK: - What was shown is not stored

extension ServerTests.MaskedWriteTests {
  static let sentBack = [
    "UPDATE shop.notes SET email = 'a***@***.example' WHERE id = 1",
    "UPDATE shop.notes SET email = 'a***@***.example', plain = 'new' WHERE id > 0",
    "UPDATE shop.notes SET data = '\"[redacted]\"' WHERE id = 1",
    "UPDATE shop.notes SET data = ' \"[redacted]\" ' WHERE id = 1",
    "UPDATE shop.notes SET amount = 0.00 WHERE id = 1",
    "UPDATE shop.notes SET tags = '{}' WHERE id = 1",
    "UPDATE shop.notes SET (plain, email) = (SELECT 'x', 'a***@***.example') WHERE id = 1",
    "UPDATE shop.customers SET age = NULL WHERE id = 1",
    "UPDATE shop.customers SET age = age_given FROM (VALUES (NULL::int)) v (age_given) WHERE id = 1",
    "UPDATE shop.customers SET name = '[redacted]' WHERE id = 1",
    "UPDATE shop.customers SET phone = '+1***1' WHERE id = 1",
    "UPDATE shop.events SET email = 'a***@***.example' WHERE id = 1",
    "UPDATE shop.events_january SET email = 'a***@***.example' WHERE id = 1",
    "PREPARE p (text) AS UPDATE shop.notes SET email = $1 WHERE id > 0; EXECUTE p('a***@***.example')",
    "DO $$BEGIN UPDATE shop.notes SET email = 'a***@***.example' WHERE id > 0; END$$",
    """
    DO $$DECLARE e text; BEGIN SELECT email INTO e FROM shop.notes WHERE id = 1;
    UPDATE shop.notes SET email = e WHERE id = 1; END$$
    """,
    "CREATE VIEW lab.v AS SELECT * FROM shop.notes; UPDATE lab.v SET email = 'a***@***.example' WHERE id = 1",
    "WITH u AS (UPDATE shop.notes SET email = 'a***@***.example' WHERE id > 0 RETURNING id) SELECT * FROM u",
    """
    INSERT INTO shop.notes (id, email) VALUES (1, 'a***@***.example')
    ON CONFLICT (id) DO UPDATE SET email = excluded.email
    """,
    """
    MERGE INTO shop.notes n USING (VALUES (1, 'a***@***.example')) v (id, e) ON n.id = v.id
    WHEN MATCHED THEN UPDATE SET email = v.e
    """,
    """
    DECLARE c CURSOR FOR SELECT * FROM shop.notes WHERE id = 1 FOR UPDATE; MOVE c;
    UPDATE shop.notes SET email = 'a***@***.example' WHERE CURRENT OF c
    """,
  ]

  @Test(arguments: sentBack) func whatWasShownIsNotStored(_ sql: String) throws {
    try expectRefusal(sql, "would be overwritten with its masked value")
  }

  @Test func valuesOfOnesOwnAreStored() throws {
    let analyst = try shop.connect("analyst")
    for sql in [
      "UPDATE shop.notes SET email = 'new@x.example' WHERE id = 1",
      "UPDATE shop.notes SET amount = 7, tags = '{y,z}' WHERE id > 0",
      "UPDATE shop.notes SET data = '{\"b\": 2}' WHERE id = 1", "UPDATE shop.notes SET email = NULL WHERE id = 2",
      "UPDATE shop.notes SET (plain, email) = (SELECT 'x', 'other@x.example') WHERE id = 1",
      "UPDATE shop.customers SET age = 50 WHERE id = 1",
      "UPDATE shop.events SET email = 'new@x.example' WHERE id = 1",
    ] {
      #expect(try analyst.query(sql).affected > 0, "\(sql)")
    }
    #expect(try shop.admin.query("SELECT email FROM shop.notes ORDER BY id").rows == [["other@x.example"], [nil]])
    #expect(try shop.admin.query("SELECT age FROM shop.customers WHERE id = 1").value == "50")
    // A new row may hold anything: nothing real is lost.
    try analyst.query("INSERT INTO shop.notes (id, email) SELECT 9, email FROM shop.notes WHERE id = 1")
    #expect(try shop.admin.query("SELECT email FROM shop.notes WHERE id = 9").value == "o***@***.example")
  }

  @Test func nullOverNullIsNoLoss() throws {
    let analyst = try shop.connect("analyst")
    #expect(try analyst.query("UPDATE shop.notes SET email = NULL, plain = 'x' WHERE id = 2").affected == 1)
    // What method null shows of a real value and of none is the same: the refusal must not tell them apart.
    try shop.admin.query("UPDATE shop.customers SET age = NULL WHERE id = 2")
    for id in 1...2 {
      try expectRefusal("UPDATE shop.customers SET age = NULL WHERE id = \(id)", "masked value")
    }
  }

  @Test func entitledSessionsWriteWhatTheyLike() throws {
    let sql = "UPDATE shop.notes SET email = 'a***@***.example' WHERE id = 1"
    #expect(try shop.connect("shop_owner").query(sql).affected == 1)
    try shop.admin.query("SELECT warden.exempt('{role:analyst}', '{shop.notes.email}')")
    #expect(try shop.connect("analyst").query(sql).affected == 1)
  }
}

// MARK: - Masked values from elsewhere

extension ServerTests.MaskedWriteTests {
  static let fromElsewhere = [
    "UPDATE shop.notes n SET email = c.email FROM shop.customers c WHERE c.id = n.id",
    "UPDATE shop.notes n SET email = upper(c.email) FROM (SELECT id, email FROM shop.customers OFFSET 0) c",
    "UPDATE shop.notes SET email = (SELECT email FROM shop.customers WHERE id = 2)",
    "UPDATE shop.notes SET (plain, email) = (SELECT city, email FROM shop.customers WHERE id = 2)",
    "UPDATE shop.notes SET email = ARRAY(SELECT email FROM shop.customers)::text",
    "WITH c AS (SELECT email AS e FROM shop.customers) UPDATE shop.notes SET email = c.e FROM c",
    """
    WITH RECURSIVE c (e) AS (SELECT email FROM shop.customers UNION SELECT e FROM c)
    UPDATE shop.notes SET email = e FROM c
    """,
    "UPDATE shop.notes SET email = u.e FROM (SELECT 'x' AS e UNION ALL SELECT email FROM shop.customers) u",
    "UPDATE shop.notes n SET email = c::text FROM shop.customers c",
    "UPDATE shop.notes n SET email = j.email FROM (shop.orders o JOIN shop.customers c ON c.id = o.customer_id) j",
    "UPDATE shop.notes n SET email = l.e FROM shop.customers c, LATERAL (VALUES (c.email)) l (e)",
    "UPDATE shop.notes n SET email = max FROM (SELECT max(email) FROM shop.customers GROUP BY city) c",
    "UPDATE shop.notes SET email = f FROM shop.customers c, LATERAL lower(c.email) f",
    "UPDATE shop.notes SET email = v.email FROM warden_views.shop__customers v",
    "WITH u AS (UPDATE shop.customers SET city = 'x' RETURNING email) UPDATE shop.notes SET email = u.email FROM u",
    "WITH u AS (UPDATE shop.notes SET email = c.email FROM shop.customers c RETURNING 1) SELECT * FROM u",
    "CREATE VIEW lab.v AS SELECT email FROM shop.customers; UPDATE shop.notes SET email = v.email FROM lab.v",
    """
    INSERT INTO shop.notes (id, email) SELECT id + 1, email FROM shop.customers
    ON CONFLICT (id) DO UPDATE SET email = excluded.email
    """,
    """
    MERGE INTO shop.notes n USING shop.customers c ON c.id = n.id WHEN MATCHED THEN UPDATE SET email = c.email
    """,
  ]

  @Test(arguments: fromElsewhere) func maskedValuesFromElsewhereAreNotStored(_ sql: String) throws {
    try expectRefusal(sql, "storing a masked value in the masked column")
    let records = try shop.audit(where: "role_name = 'analyst' AND decision = 'blocked'")
    #expect(records.contains { $0["outcome"] == "blocked" && $0["sqlstate"] == "42501" })
  }

  @Test func realValuesFromElsewhereAreStored() throws {
    let analyst = try shop.connect("analyst")
    for sql in [
      "UPDATE shop.notes n SET email = c.city FROM shop.customers c WHERE c.id = n.id",
      "WITH c AS (SELECT * FROM shop.customers) UPDATE shop.notes n SET email = c.city FROM c WHERE c.id = n.id",
      "UPDATE shop.notes n SET plain = c.email FROM shop.customers c WHERE c.id = n.id",
      "UPDATE shop.notes SET email = 'x' WHERE id IN (SELECT id FROM shop.customers WHERE email LIKE 'a%')",
      "MERGE INTO shop.notes n USING shop.customers c ON c.id = n.id WHEN MATCHED THEN UPDATE SET email = c.city",
      """
      MERGE INTO shop.notes n USING shop.customers c ON c.id = n.id
      WHEN NOT MATCHED THEN INSERT (id, email) VALUES (c.id, c.email)
      """,
    ] {
      #expect(try analyst.query(sql).affected > 0, "\(sql)")
    }
    #expect(try shop.admin.query("SELECT email FROM shop.notes WHERE id = 1").value == "Rome")
  }
}

// MARK: - Conflicts

extension ServerTests.MaskedWriteTests {
  static let conflicts = [
    "INSERT INTO shop.customers (id, email) VALUES (9, 'annRAWMARK@raw.example') ON CONFLICT (email) DO NOTHING",
    "INSERT INTO shop.customers (id, email) VALUES (9, 'x') ON CONFLICT DO NOTHING",
    "INSERT INTO shop.customers (id, email) VALUES (9, 'x') ON CONFLICT ON CONSTRAINT customers_email_key DO NOTHING",
    """
    INSERT INTO shop.customers (id, email) VALUES (9, 'annRAWMARK@raw.example')
    ON CONFLICT (email) DO UPDATE SET city = 'x' RETURNING id
    """,
    "PREPARE p AS INSERT INTO shop.customers (id, email) VALUES (9, $1) ON CONFLICT DO NOTHING; EXECUTE p('x')",
    "DO $$BEGIN INSERT INTO shop.customers (id, email) VALUES (9, 'x') ON CONFLICT DO NOTHING; END$$",
    """
    CREATE VIEW lab.v AS SELECT * FROM shop.customers;
    INSERT INTO lab.v (id, email) VALUES (9, 'x') ON CONFLICT DO NOTHING
    """,
    "WITH i AS (INSERT INTO shop.customers (id) VALUES (9) ON CONFLICT DO NOTHING RETURNING id) SELECT count(*) FROM i",
  ]

  @Test(arguments: conflicts) func conflictsOverMaskedColumnsAreRefused(_ sql: String) throws {
    try expectRefusal(sql, "ON CONFLICT over the masked column shop.customers.email")
  }

  @Test func conflictsOverOtherColumnsWork() throws {
    let analyst = try shop.connect("analyst")
    let sql = """
      INSERT INTO shop.customers (id, email, city) VALUES (1, 'x', 'Bari')
      ON CONFLICT (id) DO UPDATE SET city = excluded.city RETURNING city, email
      """
    #expect(try analyst.query(sql).rows == [["Bari", Shop.maskedEmail]])
    #expect(try analyst.query("INSERT INTO shop.notes (id) VALUES (1) ON CONFLICT DO NOTHING").affected == 0)
    let owners = "INSERT INTO shop.customers (id, email) VALUES (1, 'x') ON CONFLICT DO NOTHING"
    #expect(try shop.connect("shop_owner").query(owners).affected == 0)
  }

  @Test func uniqueIndexOfAPartitionCounts() throws {
    try shop.connect("shop_owner").query("CREATE UNIQUE INDEX ON shop.events_january (lower(email))")
    try expectRefusal(
      "INSERT INTO shop.events VALUES (9, '2026-01-05', 'x') ON CONFLICT DO NOTHING",
      "ON CONFLICT over the masked column shop.events.email")
  }
}
