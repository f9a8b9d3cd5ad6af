"""Teams, commission, appraisal and careers of a telecom operator's key-account elite (集团客户营销精英)."""
