import Foundation
import Testing

extension ServerTests {
  /// Labels as targets of guards: columns that carry one are protected by every road; what they hold stays out of the
  /// audit.
  @Suite struct LabelGuardTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "labels")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.admin.query(
        """
        SELECT warden.label('shop.customers.name', 'pii.name');
        SELECT warden.label('shop.customers.email', 'pii.email');
        SELECT warden.label('shop.customers.phone', 'secret.phone');
        SELECT warden.label('shop.events.email', 'pii.email');
        """)
    }

    fileprivate func makeGuard(_ arguments: String) throws {
      try shop.connect().query("SELECT warden.guard(\(arguments))")
    }
  }
}

// MARK: - Writes

extension ServerTests.LabelGuardTests {
  static let writes = [
    Scenario("UPDATE", "UPDATE shop.customers SET phone = 'x' WHERE id = 1"),
    Scenario("UPDATE of several", "UPDATE shop.customers SET (city, phone) = (SELECT 'a', 'b') WHERE id = 1"),
    Scenario("UPDATE with its own value", "UPDATE shop.customers SET phone = phone WHERE id = 1"),
    Scenario("UPDATE to its default", "UPDATE shop.customers SET phone = DEFAULT WHERE id = 1"),
    Scenario("UPDATE of no row", "UPDATE shop.customers SET phone = 'x' WHERE id = -1"),
    Scenario("INSERT", "INSERT INTO shop.customers (id, phone) VALUES (9, 'x')"),
    Scenario("INSERT of NULL", "INSERT INTO shop.customers (id, phone) VALUES (9, NULL)"),
    Scenario("INSERT without a list", "INSERT INTO shop.customers VALUES (9, 'n', 'e', 'p', 1, 'c')"),
    Scenario("INSERT … SELECT", "INSERT INTO shop.customers (id, phone) SELECT 9, 'x'"),
    Scenario("UPSERT", "INSERT INTO shop.customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET phone = 'x'"),
    Scenario(
      "MERGE updating",
      "MERGE INTO shop.customers c USING (VALUES (1)) v (id) ON v.id = c.id WHEN MATCHED THEN UPDATE SET phone = 1"),
    Scenario(
      "MERGE inserting",
      """
      MERGE INTO shop.customers c USING (VALUES (9)) v (id) ON v.id = c.id
      WHEN NOT MATCHED THEN INSERT (id, phone) VALUES (9, 'x')
      """),
    Scenario("CTE", "WITH u AS (UPDATE shop.customers SET phone = 'x' WHERE id = 1 RETURNING id) SELECT * FROM u"),
    Scenario("COPY", "COPY shop.customers FROM STDIN"),
    Scenario("COPY of columns", "COPY shop.customers (phone, id) FROM STDIN"),
    Scenario("EXPLAIN ANALYZE", "EXPLAIN ANALYZE UPDATE shop.customers SET phone = 'x' WHERE id = 1"),
    Scenario(
      "view", setup: "CREATE VIEW shop.v AS SELECT id, phone AS p FROM shop.customers",
      "UPDATE shop.v SET p = 'x' WHERE id = 1"),
    Scenario(
      "view over a view, inserting",
      setup: """
        CREATE VIEW shop.v AS SELECT id, phone AS p FROM shop.customers;
        CREATE VIEW shop.w AS SELECT * FROM shop.v
        """,
      "INSERT INTO shop.w VALUES (9, 'x')"),
    Scenario("prepared", setup: "PREPARE p AS UPDATE shop.customers SET phone = 'x' WHERE id = 1", "EXECUTE p"),
    Scenario("DO", "DO $$BEGIN EXECUTE 'UPDATE shop.customers SET pho' || 'ne = 1 WHERE id = 1'; END$$"),
    Scenario(
      "function",
      setup: """
        CREATE FUNCTION shop.f() RETURNS void LANGUAGE plpgsql AS
          'BEGIN UPDATE shop.customers SET phone = 1 WHERE id = 1; END'
        """,
      "SELECT shop.f()"),
    Scenario(
      "SQL function",
      setup: """
        CREATE FUNCTION shop.f() RETURNS void LANGUAGE sql AS 'UPDATE shop.customers SET phone = 1 WHERE id = 1'
        """,
      "SELECT shop.f()"),
    Scenario(
      "trigger",
      setup: """
        CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN UPDATE shop.customers SET phone = 1 WHERE id = 1; RETURN NEW; END';
        CREATE TRIGGER t BEFORE INSERT ON shop.parcels FOR EACH ROW EXECUTE FUNCTION shop.f()
        """, "INSERT INTO shop.parcels VALUES (3, 9)"),
    Scenario(
      "rule",
      setup: "CREATE RULE r AS ON INSERT TO shop.parcels DO ALSO UPDATE shop.customers SET phone = 'x' WHERE id = 1",
      "INSERT INTO shop.parcels VALUES (3, 9)"),
    Scenario("row deleted", "DELETE FROM shop.customers WHERE id = 3"),
  ]

  /// By label, and by the name of the column: the same.
  @Test(arguments: ["label:secret.*", "label:secret.phone", "shop.customers.phone"], writes)
  func writesAreRefused(_ object: String, _ scenario: Scenario) throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(scenario.setup)
    try makeGuard("'secrets', 'block', '{write}', '{\(object)}'")
    try shop.expectRefusal(of: scenario.sql, by: "secrets", on: owner)
  }

  static let otherWrites = [
    "UPDATE shop.customers SET city = 'x', email = 'y' WHERE phone LIKE '+1%'",
    "INSERT INTO shop.customers (id, city) VALUES (9, 'x')",
    "INSERT INTO shop.customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET city = excluded.city",
    "MERGE INTO shop.customers c USING (VALUES (1)) v (id) ON v.id = c.id WHEN MATCHED THEN UPDATE SET city = 'x'",
    "SELECT * FROM shop.customers FOR UPDATE",
    "COPY shop.customers TO STDOUT",
    "UPDATE shop.orders SET note = 'x' WHERE id = 1",
    "CREATE TEMP TABLE copied AS SELECT * FROM shop.customers; UPDATE copied SET phone = 'x'; DROP TABLE copied",
  ]

  @Test(arguments: otherWrites) func whatDoesNotWriteItPasses(_ sql: String) throws {
    try makeGuard("'secrets', 'block', '{write}', '{label:secret.*}'")
    #expect(try shop.connect("shop_owner").error(sql) == nil)
  }

  @Test func explained() throws {
    try makeGuard("'secrets', 'block', '{write}', '{label:secret.*}'")
    let explain = "SELECT guard FROM warden.explain($1) WHERE guard = 'secrets'"
    let update = "UPDATE shop.customers SET phone = 'x' WHERE id = 1"
    #expect(try shop.admin.query(explain, update).value == "secrets")
    #expect(try shop.admin.query(explain, "UPDATE shop.customers SET city = 'x' WHERE id = 1").value == nil)
  }

  /// An INSERT … ON CONFLICT is judged by what each of its halves writes.
  @Test func halvesOfAnUpsert() throws {
    try makeGuard("'secrets', 'block', '{update}', '{label:secret.*}'")
    let owner = try shop.connect("shop_owner")
    let upsert = "INSERT INTO shop.customers (id, phone) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET"
    #expect(owner.error("\(upsert) city = 'x'") == nil)
    try shop.expectRefusal(of: "\(upsert) phone = 'x'", by: "secrets", on: owner)
  }

  @Test func sensitiveSchema() throws {
    try makeGuard("'billing', 'block', '{write}', '{billing.*}'")
    let admin = try shop.connect()
    try admin.query("CREATE SCHEMA billing; CREATE TABLE billing.invoices (id int, total int)")
    for sql in [
      "INSERT INTO billing.invoices VALUES (1, 1)", "COPY billing.invoices FROM STDIN",
      "UPDATE billing.invoices SET total = 2 WHERE id = 1", "DELETE FROM billing.invoices WHERE id = 1",
      "MERGE INTO billing.invoices i USING (VALUES (1)) v (id) ON v.id = i.id WHEN NOT MATCHED THEN INSERT VALUES (1, 1)",
      "WITH i AS (INSERT INTO billing.invoices VALUES (1, 1) RETURNING *) SELECT * FROM i",
    ] {
      try shop.expectRefusal(of: sql, by: "billing", on: admin)
    }
    #expect(try admin.query("SELECT count(*) FROM billing.invoices").value == "0")
    // The guard was there first and knows the schema by its name alone: renamed, it would be without it.
    try shop.expectRefusal(of: "ALTER SCHEMA billing RENAME TO bills", by: "billing", on: admin)
    try admin.query("SELECT warden.break_glass('the test drops what it made'); DROP SCHEMA billing CASCADE")
  }
}

// MARK: - Reads

extension ServerTests.LabelGuardTests {
  static let reads = [
    "SELECT email FROM shop.customers", "SELECT * FROM shop.customers", "SELECT c FROM shop.customers c",
    "SELECT to_jsonb(c) FROM shop.customers c", "SELECT count(email) FROM shop.customers",
    "SELECT 1 FROM shop.customers WHERE email LIKE 'a%'", "SELECT id FROM shop.customers ORDER BY name",
    "SELECT max(length(name)) FROM shop.customers", "TABLE shop.customers", "COPY shop.customers TO STDOUT",
    "COPY shop.customers (id, email) TO STDOUT", "COPY (SELECT email FROM shop.customers) TO STDOUT",
    "UPDATE shop.customers SET city = 'x' WHERE id = 1 RETURNING email",
    "CREATE TABLE lab.copied AS SELECT email FROM shop.customers",
    "SELECT email FROM shop.events", "SELECT email FROM shop.events_january", "COPY shop.events_february TO STDOUT",
    "SELECT query_to_xml('SELECT email FROM shop.customers', true, true, '')",
  ]

  @Test(arguments: reads) func readsAreRefused(_ sql: String) throws {
    try makeGuard("'pii', 'block', '{read}', '{label:pii.*}', '{role:analyst}'")
    try shop.expectRefusal(of: sql, by: "pii", on: try shop.connect("analyst"))
  }

  /// What the server computes from the rows that are there, and keeps or answers with.
  static let definedReads = [
    "ALTER TABLE shop.customers ADD copied text GENERATED ALWAYS AS (lower(email)) STORED",
    "ALTER TABLE shop.customers ADD copied int CHECK (email < 'b')",
    "ALTER TABLE shop.customers ALTER city TYPE text USING email",
    "ALTER TABLE shop.customers ALTER city TYPE text USING coalesce(city, customers.email)",
    "ALTER TABLE shop.customers ALTER email TYPE text USING email || name",
    "ALTER TABLE shop.customers ALTER city TYPE text USING customers::text",
    "ALTER TABLE shop.customers ADD CHECK (email <> 'bob@example.com')",
    "ALTER TABLE shop.customers ADD EXCLUDE USING btree ((lower(name)) WITH =) WHERE (id > 0)",
    "ALTER TABLE shop.customers ADD EXCLUDE USING btree (id WITH =) WHERE (email < 'b')",
    "CREATE INDEX ON shop.customers (lower(email))", "CREATE INDEX ON shop.customers (id) WHERE name LIKE 'A%'",
    "CREATE STATISTICS shop.counted ON email, city FROM shop.customers",
    "CREATE STATISTICS shop.counted ON (lower(name)) FROM shop.customers",
    "DO $$BEGIN EXECUTE 'ALTER TABLE shop.customers ADD CHECK (name <> ''x'')'; END$$",
  ]

  @Test(arguments: definedReads) func definitionsOverAColumnReadIt(_ sql: String) throws {
    try makeGuard("'pii', 'block', '{read}', '{label:pii.*}', '{role:shop_owner}'")
    try shop.expectRefusal(of: sql, by: "pii", on: try shop.connect("shop_owner"))
  }

  @Test func otherDefinitionsPass() throws {
    try makeGuard("'pii', 'block', '{read}', '{label:pii.*}', '{role:shop_owner}'")
    let owner = try shop.connect("shop_owner")
    for sql in [
      "ALTER TABLE shop.customers ADD copied text GENERATED ALWAYS AS (upper(city)) STORED",
      "ALTER TABLE shop.customers ALTER email TYPE varchar(200) USING lower(email)",
      "ALTER TABLE shop.customers ALTER email TYPE varchar(100)", "CREATE INDEX ON shop.customers (email)",
      "ALTER TABLE shop.customers ADD CHECK (city <> '')", "CREATE INDEX ON shop.customers (id) WHERE city <> 'x'",
      "CREATE STATISTICS shop.counted ON city, id FROM shop.customers",
    ] {
      #expect(owner.error("BEGIN; \(sql); ROLLBACK") == nil, "\(sql)")
    }
  }

  @Test func readsOfOtherColumnsPass() throws {
    try makeGuard("'pii', 'block', '{read,copy_out}', '{label:pii.*}'")
    let analyst = try shop.connect("analyst")
    for sql in [
      "SELECT id, city, phone FROM shop.customers", "SELECT count(*) FROM shop.customers",
      "COPY shop.customers (id, city) TO STDOUT", "SELECT tableoid, ctid FROM shop.customers",
      "SELECT id FROM shop.events", "UPDATE shop.customers SET city = 'x' WHERE id = 1 RETURNING city",
    ] {
      #expect(analyst.error(sql) == nil, "\(sql)")
    }
  }

  @Test func aViewReadsWhatItsTableHas() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      CREATE VIEW shop.contacts AS SELECT id, email AS contact FROM shop.customers;
      CREATE VIEW shop.cities AS SELECT id, city FROM shop.customers;
      GRANT SELECT ON shop.contacts, shop.cities TO analyst
      """)
    try makeGuard("'pii', 'block', '{read}', '{label:pii.*}', '{role:analyst}'")
    let analyst = try shop.connect("analyst")
    try shop.expectRefusal(of: "SELECT contact FROM shop.contacts", by: "pii", on: analyst)
    #expect(analyst.error("SELECT * FROM shop.cities") == nil)
  }

  @Test func superusersAreBoundAndExceptionsAreLeave() throws {
    try makeGuard("'pii', 'block', '{read}', '{label:*}'")
    try makeGuard("'support', 'allow', '{read}', '{label:pii.email}', '{role:analyst}', priority => 1")
    let refusal = try #require(try shop.connect().error("SELECT email FROM shop.customers"))
    #expect(refusal.sqlstate == "42501" && refusal.detail.contains("Guard \"pii\""))
    let analyst = try shop.connect("analyst")
    #expect(analyst.error("SELECT id, email FROM shop.customers") == nil)
    #expect(analyst.error("SELECT phone FROM shop.customers")?.detail.contains("Guard \"pii\"") == true)
    #expect(try shop.admin.query("SELECT objects FROM warden.guards WHERE name = 'pii'").value == "{label:*}")
  }
}

// MARK: - Definitions, column by column

extension ServerTests.LabelGuardTests {
  static let definitions = [
    "ALTER TABLE shop.customers ALTER COLUMN phone TYPE varchar(99)",
    "ALTER TABLE shop.customers ALTER phone SET DEFAULT 'x'", "ALTER TABLE shop.customers ALTER phone SET NOT NULL",
    "ALTER TABLE shop.customers ALTER phone SET STORAGE EXTERNAL",
    "ALTER TABLE shop.customers ALTER phone SET STATISTICS 10", "ALTER TABLE shop.customers RENAME phone TO fon",
    "ALTER TABLE shop.customers DROP COLUMN phone", "ALTER TABLE shop.customers ADD COLUMN x int, DROP COLUMN phone",
    "ALTER TABLE shop.customers ADD CHECK (phone <> '')", "ALTER TABLE shop.customers ADD UNIQUE (phone)",
    "ALTER TABLE shop.customers OWNER TO shop_owner", "ALTER TABLE shop.customers RENAME TO clients",
    "ALTER TABLE shop.customers DISABLE TRIGGER ALL", "ALTER TABLE shop.customers SET SCHEMA lab",
    "GRANT SELECT (phone) ON shop.customers TO clerk", "GRANT SELECT ON shop.customers TO clerk",
    "REVOKE UPDATE (city, phone) ON shop.customers FROM analyst", "GRANT ALL ON shop.customers TO clerk",
    "COMMENT ON COLUMN shop.customers.phone IS 'x'", "CREATE INDEX ON shop.customers (phone)",
    "CREATE INDEX ON shop.customers (city, lower(phone))", "CREATE INDEX ON shop.customers (city) INCLUDE (phone)",
    "CREATE INDEX ON shop.customers (city) WHERE phone IS NULL", "CREATE INDEX ON shop.customers ((customers::text))",
    "DROP TABLE shop.customers CASCADE", "TRUNCATE shop.customers CASCADE",
  ]

  @Test(arguments: ["label:secret.*", "shop.customers.phone"], definitions)
  func definitionsAreRefused(_ object: String, _ sql: String) throws {
    try makeGuard("'frozen', 'block', '{ddl,grant}', '{\(object)}'")
    try shop.expectRefusal(of: sql, by: "frozen", on: try shop.connect("shop_owner"))
  }

  @Test(arguments: ["label:secret.*", "shop.customers.phone"])
  func definitionsOfOtherColumnsPass(_ object: String) throws {
    try makeGuard("'frozen', 'block', '{ddl,grant}', '{\(object)}', priority => 2")
    try makeGuard("'leave', 'allow', '{drop_column}', '{*}', priority => 1")
    let owner = try shop.connect("shop_owner")
    for sql in [
      "ALTER TABLE shop.customers ALTER COLUMN city TYPE varchar(99)",
      "ALTER TABLE shop.customers ADD COLUMN x int, ADD y int",
      "ALTER TABLE shop.customers RENAME city TO town", "ALTER TABLE shop.customers ADD CHECK (age > 0)",
      "ALTER TABLE shop.customers ADD UNIQUE (email, age)", "GRANT SELECT (town) ON shop.customers TO clerk",
      "COMMENT ON COLUMN shop.customers.town IS 'x'",
      "CREATE INDEX ON shop.customers (lower(town), age) WHERE age > 1",
      "ALTER TABLE shop.customers DROP COLUMN town", "COMMENT ON COLUMN shop.orders.note IS 'x'",
    ] {
      #expect(owner.error(sql) == nil, "\(sql): \(owner.error(sql)?.text ?? "")")
    }
    let columns = try shop.access(where: "command = 'CREATE INDEX'").filter { $0["action"] == "create" }
    #expect(columns.first?["columns"] == "{age,town}" || columns.first?["columns"] == "{town,age}", "\(columns)")
  }
}

// MARK: - Labels follow their columns

extension ServerTests.LabelGuardTests {
  /// What the owner's reads of a column are told to carry.
  private func labels(of query: String, on connection: Connection) throws -> String? {
    let sql = "/* \(UUID().uuidString) */ \(query)"
    try connection.query(sql)
    let seq = try #require(try shop.audit().last { $0["statement"] == sql }?["seq"])
    return try shop.admin.query(
      "SELECT array_agg(DISTINCT l ORDER BY l) FROM warden.audit_access a, unnest(a.labels) l WHERE seq = \(seq)"
    ).value
  }

  @Test func theyFollowRenamesAndChangesOfType() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      ALTER TABLE shop.customers RENAME email TO mail; ALTER TABLE shop.customers ADD COLUMN email text;
      ALTER TABLE shop.customers ALTER mail TYPE varchar(200); ALTER TABLE shop.customers RENAME TO clients;
      """)
    #expect(try labels(of: "SELECT mail FROM shop.clients", on: owner) == "{pii.email}")
    #expect(try labels(of: "SELECT email FROM shop.clients", on: owner) == nil)
    let listed = try shop.admin.query(
      #"SELECT "column", target FROM warden.labels WHERE label = 'pii.email' AND relation = 'shop.clients'::regclass"#)
    #expect(listed.rows == [["shop.clients.mail", "shop.clients.mail"]])
    // A dump has the name; after a restore it tells which column is meant.
    let admin = try shop.connect()
    try admin.query("SELECT warden.break_glass('as after a restore'); UPDATE warden.label_policy SET made_for = 1")
    try admin.query("SELECT warden.break_glass_end()")
    #expect(try labels(of: "SELECT mail FROM shop.clients", on: owner) == "{pii.email}")
    #expect(try labels(of: "SELECT email FROM shop.clients", on: owner) == nil)
  }

  static let falls = [
    Scenario("column", "ALTER TABLE shop.customers DROP COLUMN phone"),
    Scenario("table", "DROP TABLE shop.customers CASCADE"),
    Scenario("schema", "DROP SCHEMA shop CASCADE"),
    Scenario("owned", "DROP OWNED BY shop_owner"),
    Scenario(
      "type", setup: "CREATE TYPE shop.mood AS ENUM ('ok'); ALTER TABLE shop.customers ADD mood shop.mood",
      "DROP TYPE shop.mood CASCADE"),
  ]

  @Test(arguments: falls) func droppedTheyLeaveNothing(_ scenario: Scenario) throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(scenario.setup)
    if scenario.title == "type" { try shop.admin.query("SELECT warden.label('shop.customers.mood', 'secret.phone')") }
    let column = scenario.title == "type" ? "mood" : "phone"
    let relation = try shop.admin.query("SELECT 'shop.customers'::regclass::oid").value ?? ""
    let count = """
      SELECT count(*) FROM warden.label_policy WHERE relation = \(relation)::oid AND column_name = '\(column)'
      """
    let session = try shop.connect()
    try session.query("SELECT warden.break_glass('drop')")
    try session.query("BEGIN; \(scenario.sql); ROLLBACK")
    #expect(try shop.admin.query(count).value == "1", "rolled back, they are still there")
    try session.query(scenario.sql)
    #expect(try shop.admin.query(count).value == "0")
    let listed = "SELECT count(*) FROM warden.labels WHERE \"column\" = 'shop.customers.\(column)'"
    #expect(try shop.admin.query(listed).value == "0")
    if scenario.title == "column" {
      try owner.query("ALTER TABLE shop.customers ADD COLUMN phone text")
      #expect(try labels(of: "SELECT phone FROM shop.customers", on: owner) == nil)
    }
  }

  @Test func copiesOfRowsInherit() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      CREATE TABLE shop.likeness (LIKE shop.customers INCLUDING ALL);
      CREATE TABLE shop.copied AS SELECT * FROM shop.customers
      """)
    #expect(try labels(of: "SELECT * FROM shop.likeness", on: owner) == nil)
    let copied = try labels(of: "SELECT * FROM shop.copied", on: owner)
    #expect(try copied != nil && copied == labels(of: "SELECT * FROM shop.customers", on: owner))
  }

  @Test func childrenInheritAndKeepThem() throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(
      """
      CREATE TABLE shop.events_march (note text, email text, day date NOT NULL, id int)
      """)
    #expect(try labels(of: "SELECT email FROM shop.events_march", on: owner) == nil)
    try shop.connect().query(
      """
      SELECT warden.break_glass('note'); ALTER TABLE shop.events_march DROP COLUMN note;
      ALTER TABLE shop.events ATTACH PARTITION shop.events_march FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')
      """)
    for table in ["events_march", "events_january", "events"] {
      #expect(try labels(of: "SELECT email FROM shop.\(table)", on: owner) == "{pii.email}", "\(table)")
      #expect(try labels(of: "SELECT id, day FROM shop.\(table)", on: owner) == nil, "\(table)")
    }
    try owner.query("ALTER TABLE shop.events DETACH PARTITION shop.events_march")
    #expect(try labels(of: "SELECT email FROM shop.events_march", on: owner) == "{pii.email}")
    let source = "SELECT source FROM warden.labels WHERE relation = 'shop.events_march'::regclass"
    #expect(try shop.admin.query(source).value == "derived")
  }

  /// A label on a child is one of what is read through the parent, but not of its siblings.
  @Test func parentsShowWhatChildrenCarry() throws {
    let owner = try shop.connect("shop_owner")
    try shop.admin.query("SELECT warden.label('shop.events_january.id', 'internal.number')")
    #expect(try labels(of: "SELECT id FROM shop.events", on: owner) == "{internal.number}")
    #expect(try labels(of: "SELECT id FROM shop.events_february", on: owner) == nil)
    // One that arrives with its label.
    try owner.query("CREATE TABLE shop.events_march (LIKE shop.events)")
    try shop.admin.query("SELECT warden.label('shop.events_march.day', 'internal.day')")
    #expect(try labels(of: "SELECT day FROM shop.events", on: owner) == nil)
    try owner.query(
      "ALTER TABLE shop.events ATTACH PARTITION shop.events_march FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')")
    #expect(try labels(of: "SELECT day FROM shop.events", on: owner) == "{internal.day}")
    try makeGuard("'internal', 'block', '{read}', '{label:internal.*}', '{role:shop_owner}'")
    try shop.expectRefusal(of: "SELECT day FROM shop.events", by: "internal", on: owner)
  }

  @Test func aTablesLabelIsOneOfLaterColumnsToo() throws {
    let owner = try shop.connect("shop_owner")
    try shop.admin.query("SELECT warden.label('shop.parcels', 'internal')")
    try owner.query("ALTER TABLE shop.parcels ADD COLUMN later int")
    #expect(try labels(of: "SELECT later FROM shop.parcels", on: owner) == "{internal}")
    let listed = try shop.admin.query(
      #"SELECT "column", target FROM warden.labels WHERE label = 'internal' ORDER BY 1"#)
    #expect(listed.rows.map { $0[0] } == ["shop.parcels.id", "shop.parcels.later", "shop.parcels.weight"])
    #expect(listed.rows.allSatisfy { $0[1] == "shop.parcels" })
    #expect(try shop.admin.query("SELECT warden.unlabel('shop.parcels.later')").value == "f")
    #expect(try shop.admin.query("SELECT warden.unlabel('shop.parcels')").value == "t")
    #expect(try labels(of: "SELECT later FROM shop.parcels", on: owner) == nil)
  }
}

// MARK: - Definition of labels

extension ServerTests.LabelGuardTests {
  @Test func severalLabelsAndTheirRemoval() throws {
    let admin = try shop.connect("policy_admin")
    for label in ["pii.contact", "secret", "pii.contact"] {
      try admin.query("SELECT warden.label('shop.customers.email', '\(label)')")
    }
    let labels = "SELECT array_agg(label ORDER BY label) FROM warden.labels WHERE \"column\" = 'shop.customers.email'"
    #expect(try admin.query(labels).value == "{pii.contact,pii.email,secret}")
    #expect(try admin.query("SELECT warden.unlabel('shop.customers.email', 'secret')").value == "t")
    #expect(try admin.query("SELECT warden.unlabel('shop.customers.email', 'secret')").value == "f")
    #expect(try admin.query(labels).value == "{pii.contact,pii.email}")
    #expect(try admin.query("SELECT warden.unlabel('shop.customers.email')").value == "t")
    #expect(try admin.query(labels).value == nil)
    let events = try shop.audit(where: "event = 'policy'").compactMap { $0["statement"] }
    #expect(events.contains("label shop.customers.email: secret"))
    #expect(events.contains("unlabel shop.customers.email: secret") && events.last == "unlabel shop.customers.email")
  }

  static let bad = [
    ("'shop.customers.email', 'PII'", "22023", "PII"), ("'shop.customers.email', 'pii.*'", "22023", "pii.*"),
    ("'shop.customers.email', ''", "22023", "label"), ("'shop.customers.email', NULL", "22023", "label"),
    ("NULL, 'pii'", "22023", "target"), ("'shop.customers.nosuch', 'pii'", "42704", "nosuch"),
    ("'shop.nosuch.email', 'pii'", "42704", "nosuch"), ("'nosuch.customers.email', 'pii'", "42704", "nosuch"),
    ("'customers', 'pii'", "22023", "customers"), ("'a.b.c.d', 'pii'", "22023", "a.b.c.d"),
    ("'shop.customers.ctid', 'pii'", "42704", "ctid"), ("'shop.customers_pkey.id', 'pii'", "22023", "customers_pkey"),
    ("'warden.guard_policy.name', 'pii'", "22023", "guard_policy"), ("'pg_temp.t.a', 'pii'", "22023", "pg_temp"),
  ]

  @Test(arguments: bad) func badArgumentsAreNamed(_ arguments: String, _ sqlstate: String, _ named: String) throws {
    let admin = try shop.connect()
    try admin.query("CREATE TEMP TABLE t (a int)")
    let error = try #require(admin.error("SELECT warden.label(\(arguments))"))
    #expect(error.sqlstate == sqlstate && error.message.contains(named), "\(error.text)")
  }

  @Test func labelsAreForPolicyAdminsAndTheirTableForNobody() throws {
    let analyst = try shop.connect("shop_owner")
    #expect(analyst.error("SELECT warden.label('shop.customers.city', 'pii')")?.sqlstate == "42501")
    #expect(analyst.error("SELECT warden.unlabel('shop.customers.email')")?.sqlstate == "42501")
    for sql in [
      "DELETE FROM warden.label_policy WHERE label = 'pii.email'", "TRUNCATE warden.label_policy",
      "UPDATE warden.label_policy SET label = 'x' WHERE label = 'pii.email'",
      "INSERT INTO warden.label_policy SELECT 1, 1, 1, 'a', 'b', 'declared'", "DROP VIEW warden.labels",
      "ALTER TABLE warden.label_policy DISABLE TRIGGER ALL",
    ] {
      try shop.expectRefusal(of: sql, by: "self-protection", on: try shop.connect())
    }
  }

  @Test func inForceElsewhereAfterCommitAlsoForPlansMadeBefore() throws {
    try makeGuard("'internal', 'block', '{read}', '{label:internal}'")
    let owner = try shop.connect("shop_owner")
    let read = "SELECT weight FROM shop.parcels WHERE id = $1::int"
    try owner.prepare("p", read)
    for _ in 1...7 { #expect(try owner.execute("p", "1").value == "5") }
    let admin = try shop.connect()
    try admin.query("BEGIN; SELECT warden.label('shop.parcels.weight', 'internal')")
    #expect(admin.error("SAVEPOINT s; SELECT weight FROM shop.parcels")?.detail.contains("internal") == true)
    #expect(try owner.execute("p", "1").value == "5")
    try admin.query("ROLLBACK")
    #expect(try admin.query("SELECT weight FROM shop.parcels WHERE id = 1").value == "5")
    try admin.query("SELECT warden.label('shop.parcels.weight', 'internal')")
    #expect(throws: ServerError.self) { try owner.execute("p", "1") }
    #expect(owner.error("SELECT weight FROM shop.parcels")?.detail.contains("Guard \"internal\"") == true)
  }

  @Test func exemptionsForLabels() throws {
    try shop.mask()
    let analyst = try shop.connect("analyst")
    let read = "SELECT email, phone FROM shop.customers WHERE id = 1"
    #expect(try analyst.query(read).text.contains(Shop.mark) == false)
    try shop.admin.query("SELECT warden.exempt('{role:analyst}', '{label:pii.*}')")
    let row = try #require(try analyst.query(read).rows.first)
    #expect(row[0] == "annRAWMARK@raw.example" && row[1]?.contains(Shop.mark) == false)
    try shop.admin.query("SELECT warden.unlabel('shop.customers.email')")
    #expect(try analyst.query(read).text.contains(Shop.mark) == false)
    try shop.admin.query("SELECT warden.label('shop.customers.phone', 'pii.phone')")
    #expect(try analyst.query(read).rows.first?[1] == "+1RAWMARK1")
    let bad = try #require(shop.admin.error("SELECT warden.exempt('{role:analyst}', '{label:Pii}')"))
    #expect(bad.sqlstate == "22023" && bad.message.contains("label:Pii"))
  }
}

// MARK: - The audit

extension ServerTests.LabelGuardTests {
  private func told(_ statement: String) throws -> [[String?]] {
    let seq = try #require(try shop.audit().last { $0["statement"]?.contains(statement) == true }?["seq"])
    return try shop.admin.query(
      "SELECT action, relation, labels FROM warden.audit_access WHERE seq = \(seq) ORDER BY relation, action"
    ).rows
  }

  @Test func labelsOfWhatWasTouched() throws {
    let owner = try shop.connect("shop_owner")
    for sql in [
      "SELECT 1 AS one, * FROM shop.customers", "SELECT 2 AS two, id FROM shop.customers",
      "UPDATE shop.customers SET phone = 'x', age = 3 WHERE email LIKE 'ann%'",
      "INSERT INTO shop.customers (id, name) VALUES (33, 'x')", "DELETE FROM shop.events WHERE id = 44",
    ] {
      try owner.query(sql)
    }
    #expect(try told("AS one") == [["read", "shop.customers", "{pii.email,pii.name,secret.phone}"]])
    #expect(try told("AS two") == [["read", "shop.customers", "{}"]])
    #expect(
      try told("age = 3").filter { $0[1] == "shop.customers" }
        == [["read", "shop.customers", "{pii.email}"], ["update", "shop.customers", "{secret.phone}"]])
    #expect(try told("33").contains(["insert", "shop.customers", "{pii.name}"]))
    #expect(try told("= 44").first { $0[0] == "delete" } == ["delete", "shop.events", "{}"])
    #expect(try shop.admin.query("SELECT ok FROM warden.verify_audit()").value == "t")
    let wrong = try shop.admin.query(IndependentVerifier.wrongRecords)
    #expect(wrong.rows.isEmpty)
  }

  static let secrets = [
    "INSERT INTO shop.customers (id, email, city) VALUES (90, 'SECRET', 'keep')",
    "UPDATE shop.customers SET phone = 'SECRET', city = 'keep' WHERE id = 1",
    "SELECT * FROM shop.customers WHERE email = 'SECRET' AND city = 'keep'",
    "SELECT * FROM shop.events_january WHERE email = 'SECRET' AND day > '2026-01-09' AND 'keep' <> ''",
    "SELECT * FROM shop.events WHERE email LIKE 'SECRET%' AND 'keep' <> ''",
    "EXPLAIN SELECT * FROM shop.customers WHERE name = 'SECRET' AND city = 'keep'",
    "PREPARE q (text, text) AS SELECT 1 FROM shop.customers WHERE email = $1 AND city = $2; EXECUTE q ('SECRET', 'keep')",
    "WITH c AS (SELECT email AS e, city FROM shop.customers) SELECT * FROM c WHERE e = 'SECRET' AND city = 'keep'",
    "COPY (SELECT 1 FROM shop.customers WHERE email = 'SECRET' AND city = 'keep') TO STDOUT",
    "SELECT ('SECRET' || email)::int, 'keep' FROM shop.customers",
  ]

  @Test(arguments: secrets) func valuesOfLabelledColumnsAreNotStored(_ sql: String) throws {
    for role in ["shop_owner", "analyst"] { _ = try shop.connect(role).error(sql) }
    let text = try shop.audit(where: "true").map { $0.values.joined(separator: "\n") }.joined(separator: "\n")
    #expect(!text.contains("SECRET") && !text.contains(Shop.mark), "\(text)")
    #expect(text.contains("keep"), "\(text)")
  }

  @Test func parametersForLabelledColumnsAreNotStored() throws {
    let owner = try shop.connect("shop_owner")
    try owner.prepare("p", "SELECT 1 FROM shop.customers WHERE email = $1 AND city = $2")
    for _ in 1...7 { try owner.execute("p", "SECRET", "keep") }
    #expect(try shop.audit().compactMap { $0["parameters"] } == Array(repeating: "{***,keep}", count: 7))
    // A plan that was made before the label is made anew.
    try owner.prepare("o", "SELECT 1 FROM shop.orders WHERE note = $1")
    for _ in 1...7 { try owner.execute("o", "open") }
    try shop.admin.query("SELECT warden.label('shop.orders.note', 'internal')")
    try owner.execute("o", "SECRET")
    #expect(try shop.audit().compactMap { $0["parameters"] }.last == "{***}")
  }
}
