/// The words that fakes are made of.
///
/// First and last names are among the most frequent ones of the 1990 census of the United States (U.S. Census Bureau,
/// "Frequently Occurring Surnames" and "First Names from Census 1990"): a work of the federal government and in the
/// public domain. Streets, cities, trades and companies are common words put together for this list; names of countries
/// are those in common English use. All of it is ASCII, and valid in every encoding of a server.
enum FakeWords {
  /// Given names.
  static let first: [StaticString] = [
    "James", "Mary", "John", "Patricia", "Robert", "Linda", "Michael", "Barbara", "William", "Elizabeth", "David",
    "Jennifer", "Richard", "Maria", "Charles", "Susan", "Joseph", "Margaret", "Thomas", "Dorothy", "Christopher",
    "Lisa", "Daniel", "Nancy", "Paul", "Karen", "Mark", "Betty", "Donald", "Helen", "George", "Sandra", "Kenneth",
    "Donna", "Steven", "Carol", "Edward", "Ruth", "Brian", "Sharon", "Ronald", "Michelle", "Anthony", "Laura",
    "Kevin", "Sarah", "Jason", "Kimberly", "Matthew", "Deborah", "Gary", "Jessica", "Timothy", "Shirley", "Jose",
    "Cynthia", "Larry", "Angela", "Jeffrey", "Melissa", "Frank", "Brenda", "Scott", "Amy", "Eric", "Anna", "Stephen",
    "Rebecca", "Andrew", "Virginia", "Raymond", "Kathleen", "Gregory", "Pamela", "Joshua", "Martha", "Jerry",
    "Debra", "Dennis", "Amanda", "Walter", "Stephanie", "Patrick", "Carolyn", "Peter", "Christine", "Harold",
    "Marie", "Douglas", "Janet", "Henry", "Catherine", "Carl", "Frances", "Arthur", "Ann", "Ryan", "Joyce", "Roger",
    "Diane", "Joe", "Alice", "Juan", "Julie", "Jack", "Heather", "Albert", "Teresa", "Jonathan", "Doris", "Justin",
    "Gloria", "Terry", "Evelyn", "Gerald", "Jean", "Keith", "Cheryl", "Samuel", "Mildred", "Willie", "Katherine",
    "Ralph", "Joan", "Lawrence", "Ashley", "Nicholas", "Judith", "Roy", "Rose", "Benjamin", "Janice", "Bruce",
    "Kelly", "Brandon", "Nicole", "Adam", "Judy", "Harry", "Christina", "Fred", "Kathy", "Wayne", "Theresa", "Billy",
    "Beverly", "Steve", "Denise", "Louis", "Tammy", "Jeremy", "Irene", "Aaron", "Jane", "Randy", "Lori", "Howard",
    "Rachel", "Eugene", "Marilyn", "Carlos", "Andrea", "Russell", "Kathryn", "Bobby", "Louise", "Victor", "Sara",
    "Martin", "Anne", "Ernest", "Jacqueline", "Phillip", "Wanda", "Todd", "Bonnie", "Jesse", "Julia", "Craig",
    "Ruby", "Alan", "Lois", "Shawn", "Tina", "Clarence", "Phyllis", "Sean", "Norma", "Philip", "Paula", "Chris",
    "Diana", "Johnny", "Annie", "Earl", "Lillian", "Jimmy", "Emily", "Antonio", "Robin",
  ]

  /// Family names.
  static let last: [StaticString] = [
    "Smith", "Johnson", "Williams", "Jones", "Brown", "Davis", "Miller", "Wilson", "Moore", "Taylor", "Anderson",
    "Thomas", "Jackson", "White", "Harris", "Martin", "Thompson", "Garcia", "Martinez", "Robinson", "Clark",
    "Rodriguez", "Lewis", "Lee", "Walker", "Hall", "Allen", "Young", "Hernandez", "King", "Wright", "Lopez", "Hill",
    "Scott", "Green", "Adams", "Baker", "Gonzalez", "Nelson", "Carter", "Mitchell", "Perez", "Roberts", "Turner",
    "Phillips", "Campbell", "Parker", "Evans", "Edwards", "Collins", "Stewart", "Sanchez", "Morris", "Rogers",
    "Reed", "Cook", "Morgan", "Bell", "Murphy", "Bailey", "Rivera", "Cooper", "Richardson", "Cox", "Howard", "Ward",
    "Torres", "Peterson", "Gray", "Ramirez", "James", "Watson", "Brooks", "Kelly", "Sanders", "Price", "Bennett",
    "Wood", "Barnes", "Ross", "Henderson", "Coleman", "Jenkins", "Perry", "Powell", "Long", "Patterson", "Hughes",
    "Flores", "Washington", "Butler", "Simmons", "Foster", "Gonzales", "Bryant", "Alexander", "Russell", "Griffin",
    "Diaz", "Hayes", "Myers", "Ford", "Hamilton", "Graham", "Sullivan", "Wallace", "Woods", "Cole", "West", "Jordan",
    "Owens", "Reynolds", "Fisher", "Ellis", "Harrison", "Gibson", "McDonald", "Cruz", "Marshall", "Ortiz", "Gomez",
    "Murray", "Freeman", "Wells", "Webb", "Simpson", "Stevens", "Tucker", "Porter", "Hunter", "Hicks", "Crawford",
    "Henry", "Boyd", "Mason", "Morales", "Kennedy", "Warren", "Dixon", "Ramos", "Reyes", "Burns", "Gordon", "Shaw",
    "Holmes", "Rice", "Robertson", "Hunt", "Black", "Daniels", "Palmer", "Mills", "Nichols", "Grant", "Knight",
    "Ferguson", "Rose", "Stone", "Hawkins", "Dunn", "Perkins", "Hudson", "Spencer", "Gardner", "Stephens", "Payne",
    "Pierce", "Berry", "Matthews", "Arnold", "Wagner", "Willis", "Ray", "Watkins", "Olson", "Carroll", "Duncan",
    "Snyder", "Hart", "Cunningham", "Bradley", "Lane", "Andrews", "Ruiz", "Harper", "Fox", "Riley", "Armstrong",
    "Carpenter", "Weaver", "Greene", "Lawrence", "Elliott", "Chavez", "Sims", "Austin", "Peters", "Kelley",
    "Franklin", "Lawson", "Fields", "Gutierrez", "Ryan", "Schmidt", "Carr", "Vasquez", "Castillo", "Wheeler",
    "Chapman", "Oliver", "Montgomery", "Richards", "Williamson", "Johnston", "Banks", "Meyer", "Bishop", "McCoy",
    "Howell", "Alvarez", "Morrison", "Hansen", "Fernandez", "Garza", "Harvey", "Little", "Burton", "Stanley",
    "Nguyen", "George", "Jacobs", "Reid", "Kim", "Fuller", "Lynch", "Dean", "Gilbert", "Garrett", "Romero", "Welch",
    "Larson", "Frazier", "Burke", "Hanson", "Day", "Mendoza", "Moreno", "Bowman",
  ]

  /// What streets are called after.
  static let streets: [StaticString] = [
    "Oak", "Maple", "Cedar", "Pine", "Elm", "Walnut", "Chestnut", "Willow", "Birch", "Ash", "Spruce", "Poplar",
    "Main", "Church", "Mill", "School", "Station", "Bridge", "River", "Lake", "Hill", "Park", "Garden", "Meadow",
    "Forest", "Spring", "Valley", "Sunset", "Orchard", "Market", "Castle", "Abbey", "Queen", "King", "Victoria",
    "North", "South", "East", "West", "High",
  ]

  /// What streets are.
  static let ways: [StaticString] = [
    "Street", "Avenue", "Road", "Lane", "Drive", "Way", "Court", "Place", "Close", "Terrace",
  ]

  /// Beginnings of place names.
  static let cityBeginnings: [StaticString] = [
    "Spring", "River", "Lake", "Ash", "Oak", "Elm", "Maple", "Clear", "Fair", "Green", "Wood", "Stone", "Mill",
    "Bridge", "North", "South", "East", "West", "New", "High", "Silver", "Red", "White", "Black", "Fox", "Deer",
    "Eagle", "Sand", "Glen",
  ]

  /// Ends of place names.
  static let cityEnds: [StaticString] = [
    "field", "ford", "ton", "ville", "wood", "dale", "port", "burg", "view", "brook", "bury", "haven", "mouth",
    "stead", "well",
  ]

  /// Countries.
  static let countries: [StaticString] = [
    "Argentina", "Australia", "Austria", "Belgium", "Brazil", "Bulgaria", "Canada", "Chile", "Croatia", "Denmark",
    "Egypt", "Estonia", "Finland", "France", "Germany", "Ghana", "Greece", "Hungary", "Iceland", "India", "Ireland",
    "Italy", "Japan", "Kenya", "Latvia", "Malta", "Mexico", "Morocco", "Netherlands", "New Zealand", "Norway",
    "Peru", "Poland", "Portugal", "Romania", "Senegal", "Slovenia", "South Africa", "Spain", "Sweden", "Switzerland",
    "Thailand", "Uruguay", "Vietnam",
  ]

  /// What companies do.
  static let trades: [StaticString] = [
    "Trading", "Logistics", "Systems", "Foods", "Textiles", "Motors", "Electric", "Paper", "Tools", "Glass",
    "Furniture", "Printing", "Shipping", "Optics", "Foundry", "Instruments", "Pumps", "Bearings", "Packaging",
    "Timber",
  ]

  /// What companies are by law.
  static let companyForms: [StaticString] = [
    "Ltd", "Inc", "LLC", "GmbH", "AG", "SA", "BV", "PLC", "Oy", "AB",
  ]

  /// Kept for examples by RFC 2606.
  static let domains: [StaticString] = [
    "example.com", "example.org", "example.net",
  ]

  /// The last two digits of area codes: N11 are services, N9X is kept for longer codes.
  static let areaEnds = FakeAreaEnds()
}

/// 00 to 89 without 11.
struct FakeAreaEnds {
  let count = 89

  func element(_ index: Int) -> Int { index < 11 ? index : index &+ 1 }
}
