//! The declaration: the customs data of one item, the union of CN22/CN23 and what brokers ask for.
//!
//! It is our own model, not a UPU message (those texts are not public); every foreign format is a
//! mapping. Fields that no mapping has a place for are kept, never dropped: the body is stored as
//! it came. Field meanings and limits: the table "The declaration" of the interface description.
//! Shape is read here; what fields demand of one another stands in the rules.

use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use super::fault::{Fault, Faults};
use super::ids::S10;
use super::json::Json;
use super::record::{FieldType, ListView, Reader, Record, Val};
use super::text::{Amount, Day, Exact, HsCode, Instant, Private, Text};
use super::time::Date;
use crate::{choice, record};

choice! {
    /// UPU mail class.
    pub enum MailClass {
        /// Express (EMS).
        Ems = "E",
        /// Parcel.
        Parcel = "C",
        /// Letter post.
        Letter = "U",
    }
}
choice! {
    /// How the item travels; decides which declaration is lawful.
    pub enum Channel {
        /// UPU mail.
        Postal = "postal",
        /// From an extraterritorial office of exchange.
        Etoe = "etoe",
        /// Commercial consignment.
        Commercial = "commercial",
    }
}
choice! {
    /// CN23 field 10.
    pub enum Category {
        /// Sale of goods.
        SaleOfGoods = "sale_of_goods",
        /// Gift.
        Gift = "gift",
        /// Documents.
        Documents = "documents",
        /// Commercial sample.
        CommercialSample = "commercial_sample",
        /// Returned goods; then `return_of`.
        ReturnedGoods = "returned_goods",
        /// Mixed contents.
        Mixed = "mixed",
        /// Other; then `category_explanation`.
        Other = "other",
    }
}

impl Category {
    /// Goods of a commercial nature: HS code and origin are then required for each line.
    pub fn is_commercial(self) -> bool {
        matches!(self, Self::SaleOfGoods | Self::CommercialSample | Self::ReturnedGoods | Self::Mixed)
    }
}

choice! {
    /// Whether a party is a natural person.
    pub enum PartyKind {
        /// A natural person.
        Person = "person",
        /// A firm or other body.
        Organisation = "organisation",
    }
}
choice! {
    /// What an identifier of a party or of the sale's tax scheme is.
    pub enum IdentifierType {
        /// Economic Operators Registration and Identification number.
        Eori = "eori",
        /// Value added tax number.
        Vat = "vat",
        /// EU Import One-Stop-Shop number.
        Ioss = "ioss",
        /// Norway's scheme for low-value goods.
        Voec = "voec",
        /// Goods and services tax number.
        Gst = "gst",
        /// Australian ATO reference number.
        Arn = "arn",
        /// Australian business number.
        Abn = "abn",
        /// Korean personal customs clearance code.
        Pccc = "pccc",
        /// Brazilian taxpayer number of a person.
        Cpf = "cpf",
        /// Brazilian taxpayer number of a firm.
        Cnpj = "cnpj",
        /// National identity number.
        NationalId = "national_id",
        /// Passport number.
        Passport = "passport",
        /// Tax number of Spain or Portugal.
        Nif = "nif",
        /// US employer identification number.
        Ein = "ein",
        /// CN23 importer code.
        ImporterCode = "importer_code",
        /// Another tax number.
        TaxId = "tax_id",
        /// Anything else.
        Other = "other",
    }
}
choice! {
    /// Enclosed or referenced documents (CN23 fields 12–14 and more).
    pub enum DocumentType {
        /// Commercial invoice.
        Invoice = "invoice",
        /// Pro-forma invoice.
        Proforma = "proforma",
        /// Licence.
        Licence = "licence",
        /// Certificate.
        Certificate = "certificate",
        /// Permit.
        Permit = "permit",
        /// Proof of origin.
        OriginProof = "origin_proof",
        /// Export declaration.
        ExportDeclaration = "export_declaration",
        /// Proof of payment.
        ProofOfPayment = "proof_of_payment",
        /// Another document.
        Other = "other",
    }
}
choice! {
    /// Costs beside the price of the goods.
    pub enum CostType {
        /// Freight charged to the buyer.
        FreightCharged = "freight_charged",
        /// Insurance charged.
        Insurance = "insurance",
        /// Handling charged.
        Handling = "handling",
        /// Discount granted.
        Discount = "discount",
        /// Tax already collected by the seller.
        TaxCollected = "tax_collected",
    }
}
choice! {
    /// References of the sender.
    pub enum ReferenceType {
        /// Order number.
        Order = "order",
        /// Customer's reference.
        Customer = "customer",
        /// Waybill.
        Waybill = "waybill",
        /// Last-mile carrier's number.
        LastMile = "last_mile",
        /// Serial shipping container code.
        Sscc = "sscc",
    }
}
choice! {
    /// Kinds of product identifiers.
    pub enum ProductIdType {
        /// The merchant's.
        Merchant = "merchant",
        /// The manufacturer's.
        Manufacturer = "manufacturer",
        /// Global trade item number.
        Gtin = "gtin",
        /// Stock keeping unit.
        Sku = "sku",
    }
}
choice! {
    /// Who sells to whom.
    pub enum TransactionType {
        /// Business to consumer.
        B2c = "b2c",
        /// Business to business.
        B2b = "b2b",
        /// Consumer to consumer.
        C2c = "c2c",
        /// Consumer to business.
        C2b = "c2b",
    }
}
choice! {
    /// Who pays duty and tax.
    pub enum DutyPayer {
        /// The sender.
        Sender = "sender",
        /// The recipient.
        Recipient = "recipient",
        /// The selling platform.
        Platform = "platform",
    }
}
choice! {
    /// Incoterms 2020.
    pub enum Incoterm {
        /// Delivered at place.
        Dap = "DAP",
        /// Delivered duty paid.
        Ddp = "DDP",
        /// Delivered at place unloaded.
        Dpu = "DPU",
        /// Carriage paid to.
        Cpt = "CPT",
        /// Carriage and insurance paid to.
        Cip = "CIP",
        /// Free carrier.
        Fca = "FCA",
        /// Ex works.
        Exw = "EXW",
        /// Free alongside ship.
        Fas = "FAS",
        /// Free on board.
        Fob = "FOB",
        /// Cost and freight.
        Cfr = "CFR",
        /// Cost, insurance and freight.
        Cif = "CIF",
    }
}
choice! {
    /// Mode of transport across the border.
    pub enum TransportMode {
        /// Air.
        Air = "air",
        /// Sea.
        Sea = "sea",
        /// Road.
        Road = "road",
        /// Rail.
        Rail = "rail",
    }
}

record! {
    /// Money: an exact amount and its currency.
    pub struct Money {
        /// Decimal text.
        amount: Amount,
        /// ISO 4217.
        currency: Text<3>,
    }
}
record! {
    /// A number of a party, or the tax scheme of the sale.
    pub struct Identifier {
        /// What it is.
        r#type as "type": IdentifierType,
        /// The number itself; confidential.
        value: Private<35>,
        /// Country of issue, ISO 3166-1 alpha-2.
        country: Option<Text<2>>,
    }
}
record! {
    /// Name and address in the original script.
    pub struct LocalParty {
        /// BCP 47 language tag.
        language: Option<Text<35>>,
        /// Name.
        name: Option<Private<70>>,
        /// Street lines.
        street: Vec<Private<70>>,
        /// City.
        city: Option<Private<35>>,
    }
}
record! {
    /// A sender, recipient, seller, buyer or importer.
    pub struct Party {
        /// Person or organisation.
        kind: Option<PartyKind>,
        /// Person's name.
        name: Option<Private<70>>,
        /// Firm's name.
        company: Option<Private<70>>,
        /// Street lines.
        street: Vec<Private<70>>,
        /// City.
        city: Private<35>,
        /// Region, state or province.
        region: Option<Private<35>>,
        /// Postcode as written there.
        postcode: Option<Private<17>>,
        /// ISO 3166-1 alpha-2.
        country: Text<2>,
        /// Telephone, international form preferred.
        phone: Option<Private<35>>,
        /// E-mail.
        email: Option<Private<254>>,
        /// The party's numbers.
        identifiers: Vec<Identifier>,
        /// The original script.
        local: Option<LocalParty>,
    }
}
record! {
    /// A reference of the sender.
    pub struct Reference {
        /// What it is.
        r#type as "type": ReferenceType,
        /// The reference.
        value: Text<70>,
    }
}
record! {
    /// One parcel of several that belong to the item.
    pub struct Piece {
        /// The piece's own identifier.
        piece_id: Option<Text<35>>,
        /// Its gross weight in grams.
        gross_weight_g: Option<u64>,
        /// Length in millimetres.
        length_mm: Option<u64>,
        /// Width in millimetres.
        width_mm: Option<u64>,
        /// Height in millimetres.
        height_mm: Option<u64>,
    }
}
record! {
    /// The outward item that these goods come back from.
    pub struct ReturnOf {
        /// S10 of the outward item.
        item_id: S10,
        /// Its posting date.
        posted_on: Option<Day>,
        /// Authority's reference of its declaration.
        mrn: Option<Text<35>>,
        /// Why it comes back.
        reason: Option<Text<512>>,
    }
}
record! {
    /// A cost beside the price of the goods.
    pub struct Cost {
        /// What it is.
        r#type as "type": CostType,
        /// Decimal text.
        amount: Amount,
        /// ISO 4217.
        currency: Text<3>,
    }
}
record! {
    /// The selling platform.
    pub struct Platform {
        /// Name.
        name: Option<Text<70>>,
        /// Its code at the destination's customs.
        code: Option<Text<35>>,
    }
}
record! {
    /// The payment of the sale.
    pub struct Payment {
        /// Payment reference.
        reference: Option<Private<70>>,
        /// Who paid.
        payer: Option<Private<70>>,
        /// When.
        paid_at: Option<Instant>,
    }
}
record! {
    /// The sale behind the item.
    pub struct Transaction {
        /// Who sells to whom.
        r#type as "type": Option<TransactionType>,
        /// Selling platform.
        platform: Option<Platform>,
        /// Payment.
        payment: Option<Payment>,
    }
}
record! {
    /// Duty that was paid beforehand.
    pub struct Prepayment {
        /// Who collected it.
        provider: Option<Text<70>>,
        /// Its reference.
        reference: Option<Text<70>>,
        /// Decimal text.
        amount: Option<Amount>,
        /// ISO 4217.
        currency: Option<Text<3>>,
    }
}
record! {
    /// Who pays duty and tax.
    pub struct Duty {
        /// Payer.
        payer: Option<DutyPayer>,
        /// Payment made beforehand.
        prepayment: Option<Prepayment>,
    }
}
record! {
    /// A quantity in another unit.
    pub struct Supplementary {
        /// How many.
        quantity: Exact,
        /// UN/ECE Recommendation 20.
        unit: Text<3>,
    }
}
record! {
    /// The destination's own commodity code.
    pub struct TariffCode {
        /// ISO 3166-1 alpha-2.
        country: Text<2>,
        /// The code, 6 to 14 digits: Swiss codes have eleven.
        code: HsCode<14>,
    }
}
record! {
    /// An identifier of a product.
    pub struct ProductId {
        /// Whose.
        r#type as "type": ProductIdType,
        /// The identifier.
        value: Text<70>,
    }
}
record! {
    /// One line of contents (CN23 fields 1–8).
    pub struct Line {
        /// What it is, in detail.
        description: Private<512>,
        /// The same in the original script.
        description_local: Option<Private<512>>,
        /// Total of the line.
        quantity: Exact,
        /// UN/ECE Recommendation 20; piece unless given.
        unit: Option<Text<3>>,
        /// Quantities in other units.
        supplementary: Vec<Supplementary>,
        /// Total of the line in grams.
        net_weight_g: Option<u64>,
        /// Price paid for the whole line.
        value: Money,
        /// Price of one.
        unit_price: Option<Money>,
        /// 6 to 10 digits.
        hs_code: Option<HsCode>,
        /// The destination's own codes.
        tariff_codes: Vec<TariffCode>,
        /// ISO 3166-1 alpha-2 country of origin.
        origin_country: Option<Text<2>>,
        /// Product identifiers.
        product_ids: Vec<ProductId>,
    }
}
record! {
    /// A document enclosed with or referring to the item.
    pub struct Document {
        /// What it is.
        r#type as "type": DocumentType,
        /// Its number.
        number: Text<70>,
        /// Issued on.
        issued_on: Option<Day>,
        /// Issuing country.
        country: Option<Text<2>>,
        /// Lines that it covers, from 1; none means all.
        lines: Vec<u64>,
        /// Id of the uploaded document.
        document_id: Option<Text<36>>,
    }
}
record! {
    /// How the item travels.
    pub struct Transport {
        /// Consignment that the item travels in.
        consignment_id: Option<Text<70>>,
        /// Mode.
        mode: Option<TransportMode>,
        /// Despatch id.
        dispatch_id: Option<Text<70>>,
        /// Receptacle id.
        receptacle_id: Option<Text<35>>,
        /// Master air waybill.
        mawb: Option<Text<35>>,
        /// House air waybill.
        hawb: Option<Text<35>>,
        /// Carrier code.
        carrier: Option<Text<35>>,
        /// Flight.
        flight: Option<Text<35>>,
        /// UN/LOCODE of departure.
        from: Option<Text<5>>,
        /// UN/LOCODE of arrival.
        to: Option<Text<5>>,
        /// Departure.
        departs_at: Option<Instant>,
        /// Arrival.
        arrives_at: Option<Instant>,
    }
}
record! {
    /// The customs data of one item for one destination.
    pub struct Declaration {
        /// S10 identifier.
        item_id: S10,
        /// Posting date.
        posted_on: Day,
        /// UPU mail class.
        mail_class: MailClass,
        /// How the item travels.
        channel: Channel,
        /// CN23 category.
        category: Category,
        /// For category `other`.
        category_explanation: Option<Private<512>>,
        /// IMPC code of the office of origin.
        origin_office: Option<Text<6>>,
        /// IMPC code of the office of destination.
        destination_office: Option<Text<6>>,
        /// Customs territory, for example `XI`; derived unless given.
        destination_territory: Option<Text<2>>,
        /// Sender's references.
        references: Vec<Reference>,
        /// Pieces of the item.
        pieces: Vec<Piece>,
        /// For category `returned_goods`.
        return_of: Option<ReturnOf>,
        /// Who sends.
        sender: Party,
        /// Who receives.
        recipient: Party,
        /// Who sells; null: the sender.
        seller: Option<Party>,
        /// Who buys; null: the recipient.
        buyer: Option<Party>,
        /// Who imports; null: the recipient.
        importer: Option<Party>,
        /// Gross weight in grams, packaging included.
        gross_weight_g: u64,
        /// Postal charges (CN23 field 9).
        postage: Option<Money>,
        /// Cover of an insured item; never a cost.
        insured_value: Option<Money>,
        /// Costs beside the price.
        costs: Vec<Cost>,
        /// The sale.
        transaction: Option<Transaction>,
        /// Duty and tax.
        duty: Option<Duty>,
        /// Incoterm; says nothing about the payer.
        delivery_terms: Option<Incoterm>,
        /// Lines of contents.
        contents: Vec<Line>,
        /// Documents.
        documents: Vec<Document>,
        /// Tax schemes of the sale.
        identifiers: Vec<Identifier>,
        /// Transport.
        transport: Option<Transport>,
        /// Asks for this broker.
        broker: Option<Text<64>>,
    }
}

impl Declaration {
    /// Reads the shape of a declaration: the value (only to be used when there are no faults),
    /// all faults of shape, and warnings of what was normalised.
    pub fn read_shape(json: &Json<'_>) -> (Self, Faults, Vec<Fault>) {
        let mut reader = Reader::default();
        let mut declaration = <Self as FieldType>::read(json, &mut reader);
        declaration.derive_territory();
        declaration.state_units();
        let (faults, warnings) = reader.finish();
        (declaration, faults, warnings.into_vec())
    }

    /// The posting date.
    pub fn posted_on(&self) -> Date {
        self.posted_on.0
    }

    /// The seller in effect: the sender unless stated.
    pub fn effective_seller(&self) -> &Party {
        self.seller.as_ref().unwrap_or(&self.sender)
    }

    /// The buyer in effect: the recipient unless stated.
    pub fn effective_buyer(&self) -> &Party {
        self.buyer.as_ref().unwrap_or(&self.recipient)
    }

    /// The importer in effect: the recipient unless stated.
    pub fn effective_importer(&self) -> &Party {
        self.importer.as_ref().unwrap_or(&self.recipient)
    }

    /// SHA-256 over the content field by field: the same for every spelling of the same content
    /// (order of members, blanks, null or absent), so that equal content is known as a replay.
    pub fn content_hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hash_record(self, &mut hasher);
        hasher.finalize().into()
    }

    /// A line without a unit counts pieces (`H87`); said or not said, it is the same content.
    fn state_units(&mut self) {
        for line in &mut self.contents {
            line.unit.get_or_insert_with(|| Text::constant("H87"));
        }
    }

    /// Northern Ireland (`XI`) is a customs territory of its own; its postcodes begin with BT.
    fn derive_territory(&mut self) {
        if self.destination_territory.is_some() || self.recipient.country.as_str() != "GB" {
            return;
        }
        let postcode = self.recipient.postcode.as_ref().map_or("", Private::expose);
        let northern_ireland = postcode.get(..2).is_some_and(|area| area.eq_ignore_ascii_case("BT"))
            && postcode.as_bytes().get(2).is_some_and(u8::is_ascii_digit);
        if northern_ireland {
            self.destination_territory = Some(Text::constant("XI"));
        }
    }
}

fn hash_record(record: &dyn Record, hasher: &mut Sha256) {
    for (index, field) in record.descriptor().fields.iter().enumerate() {
        let value = record.get(index);
        let absent = matches!(value, Val::Missing) || matches!(value, Val::List(list) if list.is_empty());
        if !absent {
            hash_text(field.name, hasher);
            hash_value(value, hasher);
        }
    }
    hasher.update(b"}");
}

fn hash_text(text: &str, hasher: &mut Sha256) {
    hasher.update((text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

fn hash_decimal(value: Decimal, hasher: &mut Sha256) {
    hasher.update(value.normalize().serialize());
}

fn hash_value(value: Val<'_>, hasher: &mut Sha256) {
    match value {
        Val::Missing => hasher.update(b"0"),
        Val::Bool(value) => hasher.update([b'b', u8::from(value)]),
        Val::Int(value) => hasher.update(value.to_le_bytes()),
        Val::Decimal(value) => hash_decimal(value, hasher),
        Val::Str(text) => hash_text(text, hasher),
        Val::Date(date) => hash_text(&date.to_string(), hasher),
        Val::Time(time) => hasher.update(time.as_millisecond().to_le_bytes()),
        Val::List(list) => hash_list(list, hasher),
        Val::Record(record) => hash_record(record, hasher),
    }
}

fn hash_list(list: &dyn ListView, hasher: &mut Sha256) {
    hasher.update((list.len() as u64).to_le_bytes());
    for index in 0..list.len() {
        hash_value(list.get(index), hasher);
    }
}
