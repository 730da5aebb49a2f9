import Testing

extension ServerTests {
  /// Errors of the server repeat values of the rows it was working on: none of a masked column, to whom sees its mask.
  @Suite struct MaskedErrorTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "masked_errors")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.mask()
    }
  }
}

// MARK: - Every error that repeats a value

extension ServerTests.MaskedErrorTests {
  struct Failure: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let setup: String
    let sql: String
    let sqlstate: String

    init(_ name: String, setup: String = "", _ sql: String, _ sqlstate: String) {
      (testDescription, self.setup, self.sql, self.sqlstate) = (name, setup, sql, sqlstate)
    }
  }

  static let failures = [
    Failure("not null", "UPDATE shop.customers SET id = NULL WHERE id = 1", "23502"),
    Failure(
      "check", setup: "ALTER TABLE shop.customers ADD CHECK (city <> 'Bari')",
      "UPDATE shop.customers SET city = 'Bari' WHERE id = 1", "23514"),
    Failure(
      "unique index over an expression",
      setup: "CREATE UNIQUE INDEX ON shop.customers ((left(email, 1) || 'RAWMARK'), city) WHERE id <> 3",
      "UPDATE shop.customers SET city = 'Rome' WHERE id > 0", "23505"),
    Failure(
      "exclusion",
      setup: "ALTER TABLE shop.customers ADD EXCLUDE USING btree ((left(email, 1) || 'RAWMARK') WITH =, city WITH =) "
        + "WHERE (id <> 3)",
      "UPDATE shop.customers SET city = 'Rome' WHERE id > 0", "23P01"),
    Failure(
      "referenced key",
      setup: """
        CREATE TABLE shop.letters (email text REFERENCES shop.customers (email));
        INSERT INTO shop.letters SELECT email FROM shop.customers
        """, "UPDATE shop.customers SET email = 'new' WHERE id = 1", "23503"),
    Failure(
      "key referenced by what a cascade deletes",
      setup: """
        ALTER TABLE shop.orders DROP CONSTRAINT orders_customer_id_fkey;
        CREATE TABLE shop.cities (name text PRIMARY KEY);
        INSERT INTO shop.cities SELECT DISTINCT city FROM shop.customers;
        ALTER TABLE shop.customers ADD FOREIGN KEY (city) REFERENCES shop.cities ON DELETE CASCADE;
        CREATE TABLE shop.letters (email text REFERENCES shop.customers (email));
        INSERT INTO shop.letters SELECT email FROM shop.customers
        """, "DELETE FROM shop.cities WHERE name = 'Oslo'", "23503"),
    Failure(
      "constraint of a partition", "UPDATE shop.events_january SET day = '2026-02-01' WHERE id = 1", "23514"),
    Failure(
      "check option",
      setup: """
        CREATE VIEW shop.romans AS SELECT * FROM shop.customers WHERE city = 'Rome' WITH CHECK OPTION;
        GRANT ALL ON shop.romans TO analyst
        """, "UPDATE shop.romans SET city = 'Bari' WHERE id = 1", "44000"),
    Failure(
      "deferred unique",
      setup: """
        UPDATE shop.customers SET age = 41 WHERE id > 0;
        UPDATE shop.customers SET city = 'Oslo ' || id WHERE id > 0;
        ALTER TABLE shop.customers ADD UNIQUE (city, age) DEFERRABLE INITIALLY DEFERRED
        """,
      "UPDATE shop.customers SET city = 'Bari' WHERE id > 0", "23505"),
    Failure(
      "generated column",
      setup: "ALTER TABLE shop.customers ADD g int GENERATED ALWAYS AS "
        + "(CASE WHEN city = 'Bari' THEN email::int END) STORED",
      "UPDATE shop.customers SET city = 'Bari' WHERE id = 1", "22P02"),
    Failure(
      "check that casts", setup: "ALTER TABLE shop.customers ADD CHECK (city <> 'Bari' OR email::date > '2000-01-01')",
      "UPDATE shop.customers SET city = 'Bari' WHERE id = 1", "22007"),
    Failure(
      "index expression that casts",
      setup: "CREATE INDEX ON shop.customers ((CASE WHEN city = 'Bari' THEN email::int END))",
      "UPDATE shop.customers SET city = 'Bari' WHERE id = 1", "22P02"),
    Failure(
      "json",
      setup: "ALTER TABLE shop.customers ADD g jsonb GENERATED ALWAYS AS "
        + "(CASE WHEN city = 'Bari' THEN (email || ' ' || email)::jsonb END) STORED",
      "UPDATE shop.customers SET city = 'Bari' WHERE id = 1", "22P02"),
    Failure(
      "row security that casts",
      setup: """
        ALTER TABLE shop.customers ENABLE ROW LEVEL SECURITY;
        CREATE POLICY p ON shop.customers USING (id > 0 AND email::int > 0)
        """, "SELECT id FROM shop.customers", "22P02"),
    Failure(
      "row security that looks for a name",
      setup: """
        ALTER TABLE shop.customers ENABLE ROW LEVEL SECURITY;
        CREATE POLICY p ON shop.customers USING (id > 0 AND email::regclass IS NOT NULL)
        """, "SELECT id FROM shop.customers", "3F000"),
    Failure(
      "expression for a search",
      setup: "ALTER TABLE shop.customers ADD g tsquery GENERATED ALWAYS AS "
        + "(CASE WHEN city = 'Bari' THEN to_tsquery('simple', 'x y' || email) END) STORED",
      "UPDATE shop.customers SET city = 'Bari' WHERE id = 1", "42601"),
    Failure(
      "trigger with a statement made of values",
      setup: """
        CREATE FUNCTION shop.dynamic() RETURNS trigger LANGUAGE plpgsql AS
          $$BEGIN EXECUTE format('SELECT %I', OLD.email); RETURN NEW; END$$;
        CREATE TRIGGER t BEFORE UPDATE ON shop.customers FOR EACH ROW EXECUTE FUNCTION shop.dynamic()
        """, "UPDATE shop.customers SET city = 'Bari' WHERE id = 1", "42703"),
    Failure(
      "trigger that casts",
      setup: """
        CREATE FUNCTION shop.cast() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN NEW.age := OLD.email::int; RETURN NEW; END';
        CREATE TRIGGER t BEFORE UPDATE ON shop.customers FOR EACH ROW EXECUTE FUNCTION shop.cast()
        """, "UPDATE shop.customers SET city = 'Bari' WHERE id = 1", "22P02"),
  ]

  /// What the session gets of the statement: by itself, at COMMIT, as FATAL, and through a handler of its own.
  private func told(_ sql: String, to session: Connection) throws -> [String] {
    let quoted = sql.replacing("'", with: "''")
    let direct = session.error(sql)
    let inTransaction = session.error("BEGIN; \(sql); COMMIT")
    try session.query("ROLLBACK")
    let caught = try session.query(
      """
      CREATE FUNCTION pg_temp.caught() RETURNS text LANGUAGE plpgsql AS $f$
      DECLARE m text; d text; h text; c text;
      BEGIN
        BEGIN EXECUTE '\(quoted)'; SET CONSTRAINTS ALL IMMEDIATE; RETURN 'nothing';
        EXCEPTION WHEN OTHERS THEN
          GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT,
            c = PG_EXCEPTION_CONTEXT;
          RETURN concat_ws('|', SQLSTATE, m, d, h, c);
        END;
      END $f$;
      SELECT pg_temp.caught()
      """
    ).value
    return [direct, inTransaction].map { ($0?.sqlstate ?? "none") + "|" + ($0?.text ?? "") } + [caught ?? ""]
  }

  @Test(arguments: failures) func noErrorRepeatsAMaskedValue(_ failure: Failure) throws {
    let owner = try shop.connect("shop_owner")
    try owner.query(failure.setup)
    try shop.admin.query("GRANT ALL ON ALL TABLES IN SCHEMA shop TO analyst")

    let logged = shop.cluster.log().utf8.count
    let before = try shop.contents()
    for text in try told(failure.sql, to: shop.connect("analyst")) {
      #expect(text.hasPrefix(failure.sqlstate) && !text.uppercased().contains(Shop.mark), "\(text)")
      #expect(!text.contains("41"), "age: \(text)")
    }
    let fatal = try shop.connect("analyst").error("SET exit_on_error = on; \(failure.sql)")
    #expect(fatal != nil && fatal?.text.uppercased().contains(Shop.mark) == false)
    #expect(try shop.contents() == before)
    #expect(!shop.logged(by: "analyst", after: logged).uppercased().contains(Shop.mark))

    // Whom nothing is hidden from reads what there is to hide.
    try shop.admin.query("SELECT warden.exempt('{role:analyst}')")
    for text in try told(failure.sql, to: shop.connect("analyst")) {
      #expect(
        text.hasPrefix(failure.sqlstate) && (text.uppercased().contains(Shop.mark) || text.contains("41")), "\(text)")
    }
  }
}

// MARK: - What stays

extension ServerTests.MaskedErrorTests {
  @Test func namesAndCodeStay() throws {
    let error = try shop.connect("analyst").error("UPDATE shop.customers SET email = NULL, id = 2 WHERE id = 1")
    #expect(error?.sqlstate == "23505")
    #expect(error?.message == #"duplicate key value violates unique constraint "customers_pkey""#)
    #expect(error?.detail == "Values are not shown to sessions that see masks.")
  }

  /// Errors of tables without masks, and of what the client wrote itself, are the server's own.
  @Test func otherErrorsAreAsEver() throws {
    let analyst = try shop.connect("analyst")
    #expect(analyst.error("UPDATE shop.parcels SET id = 2 WHERE id = 1")?.detail == "Key (id)=(2) already exists.")
    try analyst.query("SELECT email FROM shop.customers")
    #expect(analyst.error("SELECT 'mine'::int")?.message == #"invalid input syntax for type integer: "mine""#)
    #expect(
      analyst.error("SELECT email::int FROM shop.customers")?.message
        == #"invalid input syntax for type integer: "\#(Shop.maskedEmail)""#)
    try analyst.query("BEGIN; UPDATE shop.customers SET city = 'Bari' WHERE id = 1")
    #expect(analyst.error("SELECT 'mine'::int")?.message == #"invalid input syntax for type integer: "mine""#)
    try analyst.query("ROLLBACK")
    #expect(
      analyst.error("SELECT note::int FROM shop.orders WHERE id = 1")?.message
        == #"invalid input syntax for type integer: "a""#)
  }

  /// A worker's own line in the log would tell what its leader does not.
  @Test func parallelWorkersLogNoValue() throws {
    try shop.connect("shop_owner").query(
      """
      CREATE TABLE shop.crowd AS SELECT i AS id, i || '\(Shop.mark)' AS email FROM generate_series(1, 3000) i;
      ALTER TABLE shop.crowd ENABLE ROW LEVEL SECURITY; GRANT ALL ON shop.crowd TO analyst; ANALYZE shop.crowd;
      CREATE POLICY p ON shop.crowd USING (id < 2900 OR email::int > 0)
      """)
    try shop.admin.query("SELECT warden.mask('shop.crowd.email', 'redact')")
    let logged = shop.cluster.log().utf8.count
    let analyst = try shop.connect("analyst")
    try analyst.query(
      "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0")
    #expect(try analyst.query("EXPLAIN SELECT count(*) FROM shop.crowd").text.contains("Workers Planned"))
    let error = analyst.error("SELECT count(*) FROM shop.crowd")
    #expect(error?.sqlstate == "22P02" && error?.text.contains(Shop.mark) == false)
    #expect(error?.context.contains("parallel worker") != true)
    let lines = String(decoding: shop.cluster.log().utf8.dropFirst(logged), as: UTF8.self)
      .split(separator: "\n").filter { $0.contains("invalid input syntax") }
    #expect(lines.isEmpty, "\(lines)")
  }

  /// After an error within a transaction, too, a constraint that waits for its end is heard.
  @Test func deferredConstraintIsHeardAfterAnotherError() throws {
    try shop.connect("shop_owner").query(
      """
      UPDATE shop.customers SET age = 41, city = id::text WHERE id > 0;
      ALTER TABLE shop.customers ADD UNIQUE (city, age) DEFERRABLE INITIALLY DEFERRED
      """)
    let analyst = try shop.connect("analyst")
    try analyst.query("BEGIN; SAVEPOINT s")
    #expect(analyst.error("SELECT 1/0")?.sqlstate == "22012")
    try analyst.query("ROLLBACK TO s; UPDATE shop.customers SET city = 'Bari' WHERE id > 0")
    let error = analyst.error("COMMIT")
    #expect(error?.sqlstate == "23505" && error?.text.contains("41") == false)
  }
}

extension Shop {
  /// What the server's log has of a role's sessions in this database, after that many bytes.
  func logged(by role: String, after: Int) -> String {
    String(decoding: cluster.log().utf8.dropFirst(after), as: UTF8.self).split(separator: "\n")
      .filter { $0.contains("\(role)@\(database)") }.joined(separator: "\n")
  }
}
