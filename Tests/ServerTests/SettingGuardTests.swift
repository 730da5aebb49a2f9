import Testing

extension ServerTests {
  /// Guards on the classes set, role and grant: every way to say it.
  @Suite struct SettingGuardTests {
    private nonisolated(unsafe) static let suiteShop = Result {
      let shop = try Shop(Clusters.governed(), database: "setting_guards")
      try shop.connect().query(
        """
        CREATE ROLE settler SUPERUSER LOGIN; CREATE ROLE settled;
        CREATE FUNCTION public.plain() RETURNS int LANGUAGE sql AS 'SELECT 1';
        """)
      return shop
    }
    let shop: Shop

    init() throws {
      shop = try Self.suiteShop.get()
      try shop.refill()
    }

    static let acts: [(String, [String])] = [
      (
        "set",
        [
          "SET work_mem = '1MB'", "SET LOCAL work_mem = '1MB'", "RESET work_mem", "RESET ALL", "DISCARD ALL",
          "SELECT set_config('work_mem', '1MB', false)",
          "UPDATE pg_settings SET setting = '100' WHERE name = 'work_mem'",
          "DO 'BEGIN PERFORM set_config(''work_mem'', ''1MB'', false); END'", "SET ROLE settled",
          "DO 'DECLARE x text := set_config(''work_mem'', ''1MB'', false); BEGIN END'",
          "SET SESSION AUTHORIZATION settled", "SET session_replication_role = replica",
          "CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql SET work_mem = '1MB' AS 'SELECT 1'",
          "ALTER FUNCTION public.plain() SET work_mem = '1MB'", "ALTER ROLE settled SET work_mem = '1MB'",
          "ALTER ROLE ALL IN DATABASE setting_guards SET work_mem = '1MB'",
          "ALTER DATABASE setting_guards SET work_mem = '1MB'",
        ]
      ),
      (
        "role",
        [
          "CREATE ROLE other", "CREATE USER other", "DROP ROLE settled", "ALTER ROLE settled RENAME TO other",
          "ALTER ROLE settled PASSWORD 'x'", "ALTER ROLE settled SET work_mem = '1MB'", "GRANT settled TO analyst",
          "REVOKE settled FROM analyst", "ALTER GROUP settled ADD USER analyst", "REASSIGN OWNED BY settled TO analyst",
          "COMMENT ON ROLE settled IS 'x'",
        ]
      ),
      (
        "grant",
        [
          "GRANT SELECT ON shop.orders TO settled", "REVOKE SELECT ON shop.orders FROM settled",
          "GRANT SELECT ON ALL TABLES IN SCHEMA shop TO settled", "GRANT USAGE ON SCHEMA shop TO settled",
          "ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO settled", "GRANT settled TO analyst",
        ]
      ),
    ]

    @Test(arguments: acts) func everyWayToSayItIsRefused(_ name: String, _ statements: [String]) throws {
      try shop.connect().query(
        "SELECT warden.guard('no-\(name)', 'block', '{\(name)}', '{*}', '{role:settler}')")
      for sql in statements { try shop.expectRefusal(of: sql, by: "no-\(name)", on: try shop.connect("settler")) }
      #expect(try shop.connect("settler").query("SELECT current_setting('work_mem')").value == "4MB")
    }
  }
}
