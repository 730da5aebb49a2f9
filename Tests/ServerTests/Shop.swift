import Testing

/// A governed database with a small shop in it.
///
/// A suite has one, because CREATE EXTENSION starts a writer per database; `refill` makes the shop anew for each test.
/// Every value that a mask has to hide carries the mark `Shop.mark`.
final class Shop {
  let cluster: Cluster
  let database: String
  /// A superuser's, for setting up and for reading the audit. What it does is left out of `audit`.
  private(set) var admin: Connection
  private var refills = 0
  private var firstSeq = 0

  static let mark = "RAWMARK"
  /// What the mask `email` makes of every e-mail address in the shop.
  static let maskedEmail = "a***@***.example"
  static let adminApplication = "test admin"

  init(_ cluster: Cluster, database: String) throws {
    self.cluster = cluster
    self.database = database
    try cluster.connect().query(Shop.roles)
    try cluster.connect().query("CREATE DATABASE \(database)")
    admin = try cluster.connect(database: database, application: Shop.adminApplication)
    // Before the extension: afterwards DROP COLUMN needs approval.
    try admin.query(Shop.legacy)
    try admin.query("CREATE EXTENSION pg_warden; GRANT warden_auditor TO auditor; GRANT warden_admin TO policy_admin")
  }

  func connect(_ role: String = "postgres", options: String = "", application: String = "test") throws -> Connection {
    try cluster.connect(role: role, database: database, options: options, application: application)
  }

  /// After a crash or a restart of the server.
  func reconnect() throws {
    admin = try connect(application: Shop.adminApplication)
  }

  /// Takes back every policy but the built-in guards, and makes schemas `shop` and `lab` anew. The old ones are
  /// renamed: dropping them is what pg_warden refuses.
  func refill() throws {
    if !admin.isOpen { try reconnect() }
    try admin.query("ROLLBACK; RESET ALL; RESET ROLE")
    try admin.query("SELECT warden.unguard(name) FROM warden.guards WHERE NOT builtin")
    try admin.query("SELECT warden.unmask(target) FROM warden.masks")
    try admin.query("SELECT warden.revoke_exemption(id) FROM warden.exemptions")
    try admin.query("SELECT warden.unlabel(target) FROM warden.labels")
    for schema in ["shop", "lab"] where try admin.query("SELECT to_regnamespace($1)", schema).value != nil {
      try admin.query("ALTER SCHEMA \(schema) RENAME TO \(schema)_before_\(refills)")
    }
    refills += 1
    try admin.query(Shop.schema)
    firstSeq = Int(try admin.query("SELECT warden.flush()").value ?? "") ?? 0
  }

  /// Masks whatever in schema shop carries the mark, by each method that exists.
  func mask() throws {
    try admin.query(
      """
      SELECT warden.mask('shop.customers.name', 'redact');
      SELECT warden.mask('shop.customers.email', 'email');
      SELECT warden.mask('shop.customers.phone', 'partial', '{"prefix": 2, "suffix": 1, "fill": "***"}');
      SELECT warden.mask('shop.customers.age', 'null');
      SELECT warden.mask('shop.events.email', 'email');
      """)
  }

  /// All rows of all tables, as a superuser sees them: to be the same before and after what was refused.
  func contents() throws -> String {
    let tables = ["customers", "orders", "events", "events_january", "parcels"]
    return try tables.map { table in
      try table + "\n" + admin.query("SELECT t::text FROM shop.\(table) t ORDER BY 1").text
    }.joined(separator: "\n")
  }

  /// The records of this test, but for the harness's own; complete up to now.
  func audit(where condition: String = "event = 'statement'") throws -> [[String: String]] {
    try admin.query("SELECT warden.flush()")
    return try admin.query(
      """
      SELECT * FROM warden.audit_log
       WHERE seq > \(firstSeq) AND application_name IS DISTINCT FROM '\(Shop.adminApplication)' AND (\(condition))
       ORDER BY seq
      """
    ).records
  }

  /// What the records under the condition touched.
  func access(where condition: String) throws -> [[String: String]] {
    let numbers = try audit(where: condition).compactMap { $0["seq"] }
    guard !numbers.isEmpty else { return [] }
    return try admin.query(
      """
      SELECT seq, relation, action, columns, masked_columns FROM warden.audit_access
       WHERE seq IN (\(numbers.joined(separator: ","))) ORDER BY seq, relation, action
      """
    ).records
  }

  /// The statement must fail, by this guard and with this SQLSTATE; nothing changes; the audit has it.
  func expectRefusal(
    of sql: String, by guardName: String, sqlstate: String = "42501", on connection: Connection,
    thenRollBack: Bool = false, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let before = try contents()
    let error = connection.error(sql)
    if thenRollBack { try connection.query("ROLLBACK") }
    #expect(error?.sqlstate == sqlstate, "\(sql): \(error?.text ?? "no error")", sourceLocation: sourceLocation)
    #expect(
      error?.detail.contains("Guard \"\(guardName)\"") == true, "\(sql): \(error?.text ?? "no error")",
      sourceLocation: sourceLocation)
    #expect(error?.hint.isEmpty == false, "\(sql): no hint", sourceLocation: sourceLocation)
    try #expect(contents() == before, "\(sql) changed data", sourceLocation: sourceLocation)
    let decision = sqlstate == "WD001" ? "approval_required" : "blocked"
    try #expect(
      audit(where: "guard = '\(guardName)' AND decision = '\(decision)'").contains {
        $0["outcome"] == "blocked" && $0["sqlstate"] == sqlstate
      }, "\(sql): no record of the refusal", sourceLocation: sourceLocation)
  }
}

// MARK: - What is in the shop

extension Shop {
  /// Roles belong to the cluster, which several shops share.
  private static let roles = """
    DO $$
    DECLARE wanted text;
    BEGIN
      FOREACH wanted IN ARRAY ARRAY['shop_owner', 'analyst', 'agents', 'clerk', 'auditor', 'policy_admin'] LOOP
        IF to_regrole(wanted) IS NULL THEN EXECUTE format('CREATE ROLE %I LOGIN', wanted); END IF;
      END LOOP;
      IF to_regrole('copilot') IS NULL THEN CREATE ROLE copilot LOGIN IN ROLE agents, analyst; END IF;
    END$$
    """

  /// A table with a dropped column, as every table has one day.
  private static let legacy = """
    CREATE SCHEMA legacy AUTHORIZATION shop_owner;
    CREATE TABLE legacy.people (id int, obsolete text, email text, note text);
    ALTER TABLE legacy.people OWNER TO shop_owner;
    ALTER TABLE legacy.people DROP COLUMN obsolete;
    INSERT INTO legacy.people VALUES (1, 'aRAWMARK1@raw.example', 'open');
    GRANT USAGE ON SCHEMA legacy TO PUBLIC;
    GRANT ALL ON legacy.people TO analyst;
    """

  private static let schema = """
    CREATE SCHEMA shop AUTHORIZATION shop_owner;
    CREATE SCHEMA lab AUTHORIZATION analyst;
    GRANT USAGE ON SCHEMA shop TO PUBLIC;
    GRANT CREATE, USAGE ON SCHEMA lab TO PUBLIC;
    SET ROLE shop_owner;
    CREATE TABLE shop.customers (id int PRIMARY KEY, name text, email text UNIQUE, phone text, age int, city text);
    INSERT INTO shop.customers VALUES
      (1, 'Ann RAWMARK', 'annRAWMARK@raw.example', '+1RAWMARK1', 41, 'Rome'),
      (2, 'Abe RAWMARK', 'abeRAWMARK@raw.example', '+2RAWMARK2', 42, 'Oslo'),
      (3, 'Ada RAWMARK', 'adaRAWMARK@raw.example', '+3RAWMARK3', 43, 'Rome');
    CREATE TABLE shop.orders
      (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES shop.customers, total numeric NOT NULL, note text);
    INSERT INTO shop.orders VALUES (1, 1, 10, 'a'), (2, 1, 20, 'b'), (3, 2, 30, NULL), (4, 3, 40, 'd');
    CREATE TABLE shop.events (id int, day date NOT NULL, email text) PARTITION BY RANGE (day);
    CREATE TABLE shop.events_january PARTITION OF shop.events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE TABLE shop.events_february PARTITION OF shop.events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
    INSERT INTO shop.events VALUES
      (1, '2026-01-10', 'aRAWMARK1@raw.example'), (2, '2026-01-20', 'aRAWMARK2@raw.example'),
      (3, '2026-02-10', 'aRAWMARK3@raw.example');
    CREATE TABLE shop.parcels (id int PRIMARY KEY, weight int NOT NULL);
    INSERT INTO shop.parcels VALUES (1, 5), (2, 7);
    CREATE VIEW shop.all_orders AS SELECT * FROM shop.orders;
    CREATE VIEW shop.large_orders AS SELECT * FROM shop.orders WHERE total >= 30;
    GRANT ALL ON ALL TABLES IN SCHEMA shop TO analyst;
    RESET ROLE;
    """
}
