//! Lists of leads by what they say and where they stand.

use super::*;

impl Desk {
    /// A lead of that store and city.
    async fn accept_of(&self, record: u64, store: u64, city: (&str, &str)) -> String {
        let mut arrival = arrival(record, self.admin.clock.now());
        let mut lead: Value = serde_json::from_str(&arrival.lead).expect("JSON");
        lead["store_id"] = store.into();
        lead["city_code"] = city.0.into();
        lead["city_name"] = city.1.into();
        arrival.lead = lead.to_string();
        let accepted = self.admin.outbox.accept(arrival).await.expect("accepted");
        accepted.lead().expect("it is known").to_string()
    }

    /// Ids of all leads on all pages that pass, newest first.
    async fn listed(&self, filter: &str, limit: usize) -> Vec<String> {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self
                .get(&format!("/leads?limit={limit}{filter}{cursor}"))
                .await;
            let items = page["items"].as_array().expect("a list");
            assert!(items.len() <= limit);
            let id = |item: &Value| item["id"].as_str().expect("an id").to_owned();
            ids.extend(items.iter().map(id));
            let Some(next) = page["next"].as_str() else {
                return ids;
            };
            cursor = format!("&cursor={next}");
        }
    }
}

#[actix_web::test]
async fn leads_are_listed_by_store_city_sink_and_state_over_all_pages() {
    let desk = desk();
    let hangzhou = ("330100", "杭州市");
    let first = desk.accept_of(1, 42, hangzhou).await;
    let second = desk.accept_of(2, 43, ("310100", "上海市")).await;
    desk.end_all(dead).await;
    let third = desk.accept_of(3, 42, ("310100", "上海市")).await;
    let all = [&third, &second, &first];
    let encoded = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let [hangzhou, shang, hai] = ["杭州", "上", "海"].map(encoded);
    for (filter, wanted) in [
        (String::new(), &all[..]),
        ("&store_id=42".to_owned(), &[&third, &first]),
        ("&store_id=4".to_owned(), &[]),
        (format!("&city={hangzhou}"), &[&first]),
        (format!("&city={shang}"), &[&third, &second]),
        (format!("&city={hai}"), &[]),
        ("&city=310100".to_owned(), &[&third, &second]),
        ("&state=dead".to_owned(), &[&second, &first]),
        ("&state=delivered".to_owned(), &[]),
        ("&sink=crm&state=pending".to_owned(), &[&third]),
        ("&sink=crm".to_owned(), &all[..]),
        ("&store_id=42&state=dead".to_owned(), &[&first]),
        ("&store_id=43&order=oldest".to_owned(), &[&second]),
        ("&seller_id=no".to_owned(), &[]),
    ] {
        for limit in [1, 2, 100] {
            let listed = desk.listed(&filter, limit).await;
            let wanted: Vec<&str> = wanted.iter().map(|id| id.as_str()).collect();
            assert_eq!(listed, wanted, "{filter} {limit}");
        }
    }
}

#[actix_web::test]
async fn a_sink_or_a_state_that_nobody_knows_is_refused() {
    let desk = desk();
    for (filter, about) in [("sink=crn", "crm"), ("state=ded", "dead")] {
        let path = format!("/api/v1/leads?{filter}");
        let answer = desk.request(Method::GET, &path, true, "").await;
        assert_eq!(answer.status(), 400, "{filter}");
        let body = test::read_body(answer).await;
        let body = String::from_utf8(body.to_vec()).expect("text");
        assert!(body.contains(about), "{body}");
    }
}
