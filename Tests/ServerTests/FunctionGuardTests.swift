import Testing

extension ServerTests {
  /// Guards on functions, by every road on which the server calls one.
  @Suite struct FunctionGuardTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      try Shop(Clusters.governed(), database: "function_guards")
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
      try shop.connect("shop_owner").query(Self.functions)
    }

    private static let functions = """
      CREATE FUNCTION shop.f(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1';
      CREATE FUNCTION shop.folded(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
      CREATE FUNCTION shop.inlined(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
      CREATE FUNCTION shop.rows() RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT id FROM shop.orders';
      CREATE FUNCTION shop.fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
      CREATE FUNCTION shop.fits(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
      CREATE FUNCTION shop.adds(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
      CREATE AGGREGATE shop.total(int) (SFUNC = shop.adds, STYPE = int, INITCOND = '0');
      CREATE OPERATOR shop.### (RIGHTARG = int, FUNCTION = shop.f);
      CREATE DOMAIN shop.small AS int CHECK (shop.fits(VALUE));
      CREATE TABLE shop.defaults (a int DEFAULT shop.f(1), b int);
      CREATE TABLE shop.indexed (a int); CREATE INDEX ON shop.indexed (shop.inlined(a));
      CREATE TABLE shop.checked (a int CHECK (shop.fits(a)));
      CREATE TABLE shop.fired (a int);
      CREATE TRIGGER t AFTER INSERT ON shop.fired FOR EACH ROW EXECUTE FUNCTION shop.fires();
      CREATE PROCEDURE shop.acts() LANGUAGE sql AS 'SELECT 1';
      CREATE FUNCTION shop.assigns() RETURNS int LANGUAGE plpgsql AS
      'DECLARE x int := shop.f(1); BEGIN RETURN x; END';
      CREATE FUNCTION shop.atomic() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT shop.f(1); END;
      CREATE VIEW shop.computed AS SELECT shop.f(1) AS x;
      """

    private static let guardOnAll = """
      SELECT warden.guard('no-calls', 'block', '{function}', '{function:shop.f,function:shop.folded,
        function:shop.inlined,function:shop.rows,function:shop.fires,function:shop.fits,function:shop.adds,
        function:shop.acts}')
      """

    static let calls = [
      "SELECT shop.f(1)", "SELECT id FROM shop.orders WHERE id = shop.f(0)", "SELECT shop.folded(1)",
      "EXPLAIN SELECT shop.folded(1)", "SELECT shop.inlined(id) FROM shop.orders", "SELECT * FROM shop.rows()",
      "SELECT shop.rows()", "INSERT INTO shop.fired VALUES (1)", "SELECT shop.total(id) FROM shop.orders",
      "SELECT shop.total(id) OVER () FROM shop.orders", "SELECT OPERATOR(shop.###) 1", "SELECT 1::shop.small",
      "INSERT INTO shop.defaults (b) VALUES (1)", "INSERT INTO shop.indexed VALUES (1)",
      "INSERT INTO shop.checked VALUES (1)", "UPDATE shop.orders SET total = shop.f(1) WHERE id = 1",
      "CALL shop.acts()",
      "DO 'BEGIN CALL shop.acts(); END'", "SELECT shop.assigns()", "SELECT shop.atomic()",
      "SELECT * FROM shop.computed",
      "DO 'DECLARE x int; BEGIN x := shop.f(1); END'", "DO 'DECLARE x shop.small; BEGIN x := 1; END'",
      "CREATE TABLE shop.made AS SELECT shop.f(1)", "COPY (SELECT shop.f(1)) TO STDOUT",
      "PREPARE p AS SELECT shop.f(1); EXECUTE p", "DECLARE c CURSOR WITH HOLD FOR SELECT shop.f(1)",
      "CREATE MATERIALIZED VIEW shop.made AS SELECT shop.f(1)", "ALTER TABLE shop.parcels ADD x int DEFAULT shop.f(1)",
    ]

    @Test(arguments: calls) func callIsRefused(_ sql: String) throws {
      let owner = try shop.connect("shop_owner")
      #expect(owner.error(sql) == nil, "allowed before there is a guard")
      try shop.refill()
      try owner.query(Self.functions)
      try shop.connect().query(Self.guardOnAll)
      try shop.expectRefusal(of: sql, by: "no-calls", on: try shop.connect("shop_owner"))
    }

    /// The planner has put the body, or the value, in the place of the call long since.
    @Test func plansMadeBeforeTheGuardAreNoRoad() throws {
      let owner = try shop.connect("shop_owner")
      try owner.query(
        "PREPARE a AS SELECT shop.f(1); PREPARE b AS SELECT shop.folded(1); PREPARE c AS SELECT * FROM shop.rows()")
      try owner.prepare("d", "SELECT shop.inlined($1::int)")
      for _ in 1...7 {
        try owner.query("EXECUTE a; EXECUTE b; EXECUTE c")
        try owner.execute("d", "1")
      }
      try shop.connect().query(Self.guardOnAll)
      #expect(throws: ServerError.self) { try owner.execute("d", "1") }
      for name in ["a", "b", "c"] { try shop.expectRefusal(of: "EXECUTE \(name)", by: "no-calls", on: owner) }
    }

    @Test func eventTriggersAreMet() throws {
      try shop.connect().query(
        """
        CREATE FUNCTION shop.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
        CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION shop.on_ddl();
        SELECT warden.guard('no-event', 'block', '{function}', '{function:shop.on_ddl}', '{role:shop_owner}');
        """)
      try shop.expectRefusal(of: "CREATE TABLE shop.made (a int)", by: "no-event", on: try shop.connect("shop_owner"))
      try shop.connect().query("ALTER EVENT TRIGGER e DISABLE")
    }

    @Test func schemaCoversItsFunctionsAndRoleIsAsked() throws {
      try shop.connect().query(
        "SELECT warden.guard('no-shop', 'block', '{function}', '{shop.*}', '{role:analyst}')")
      try shop.expectRefusal(of: "SELECT shop.f(1)", by: "no-shop", on: try shop.connect("analyst"))
      #expect(try shop.connect("shop_owner").query("SELECT shop.f(1)").value == "2")
      #expect(try shop.connect("analyst").query("SELECT count(*) FROM shop.orders").value == "4")
    }

    @Test func renamedFunctionStaysGuarded() throws {
      let owner = try shop.connect("shop_owner")
      try shop.connect().query(Self.guardOnAll)
      try owner.query("CREATE OR REPLACE FUNCTION shop.f(int) RETURNS int LANGUAGE sql AS 'SELECT 7'")
      try shop.expectRefusal(of: "SELECT shop.f(1)", by: "no-calls", on: owner)
    }

    @Test func alertTellsOnceOfAStatement() throws {
      try shop.connect().query(
        "SELECT warden.guard('watch', 'alert', '{function}', '{function:shop.f,function:shop.fires}')")
      let owner = try shop.connect("shop_owner")
      for sql in [
        "SELECT shop.f(1)", "INSERT INTO shop.fired VALUES (1), (2), (3)", "DO 'DECLARE x int := shop.f(1); BEGIN END'",
      ] {
        try owner.query(sql)
        #expect(try shop.audit(where: "guard = 'watch' AND statement = $$\(sql)$$").count == 1, "\(sql)")
      }
    }
  }
}
